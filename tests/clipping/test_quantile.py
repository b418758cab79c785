"""Quantile clipping follows a percentile of the norms in one number."""

import math

import pytest
import torch

from autoclip_sep.clipping import QuantileClipping
from tests.clipping.loops import step


def norms(count, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(count, generator=generator).exp()).tolist()


def test_the_update_by_hand():
    clipper = QuantileClipping(25, rate=0.4, start=2.0)
    result, after = step(clipper, 5.0)
    assert (after, result.threshold.item()) == (pytest.approx(2.0), 2.0)
    result, after = step(clipper, 1.0)
    assert after == 1.0
    assert result.threshold.item() == pytest.approx(2 * math.exp(0.4 * 0.25))
    result, _ = step(clipper, 1.0)
    assert result.threshold.item() == pytest.approx(2 * math.exp(0.4 * 0.25 - 0.4 * 0.75))


def test_a_norm_at_the_threshold_keeps_its_bits_and_lowers_it():
    clipper = QuantileClipping(50, rate=1.0, start=3.0)
    result, after = step(clipper, 3.0)
    assert (after, bool(result.clipped)) == (3.0, False)
    assert clipper.state_dict()["threshold"] == [pytest.approx(3 * math.exp(-0.5))]


def test_the_first_norm_is_the_first_threshold():
    assert not step(QuantileClipping(), 7.0)[0].clipped


def test_the_share_below_is_the_percentile_but_for_what_the_threshold_moved():
    """Exact for any norms: the updates telescope."""
    clipper = QuantileClipping(30, rate=0.1, start=1.0)
    below = [not step(clipper, norm)[0].clipped for norm in norms(500)]
    (last,) = clipper.state_dict()["threshold"]
    share = sum(map(bool, below)) / len(below)
    assert share - 0.3 == pytest.approx(-math.log(last) / (0.1 * len(below)), abs=1e-12)


def test_it_settles_near_the_percentile_and_follows_a_drift():
    clipper = QuantileClipping(50, rate=0.05)
    for scale in (1.0, 1e-3):  # the median of these norms is the scale
        late = [step(clipper, norm)[0].threshold.item() for norm in norms(3000, 1, scale)][1000:]
        middle = sorted(late)[len(late) // 2]
        assert middle == pytest.approx(scale, rel=0.15)


def test_a_rate_far_too_large_leaves_finite_thresholds():
    clipper = QuantileClipping(50, rate=1e3)
    assert all(math.isfinite(step(clipper, norm)[0].threshold) for norm in norms(20))


@pytest.mark.parametrize(
    "wrong", [{"percentile": 0}, {"percentile": 100}, {"rate": 0}, {"start": 0}]
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        QuantileClipping(**wrong)


@pytest.mark.parametrize("threshold", [3.0, [1.0, 2.0], [0.0], [math.nan], None, ["1"]])
def test_a_wrong_state_changes_nothing(threshold):
    clipper = QuantileClipping(start=2.0)
    step(clipper, 1.0)
    before = clipper.state_dict()
    with pytest.raises(ValueError, match="threshold"):
        clipper.load_state_dict({**before, "threshold": threshold})
    assert clipper.state_dict() == before
