"""ZClip cuts spikes down, the more the larger they are."""

import math

import numpy as np
import pytest

from autoclip_sep.clipping import ZClip
from tests.clipping.loops import step


def warmed(**options):
    clipper = ZClip(2.0, decay=0.9, warmup=2, **options)
    for norm in (4.0, 6.0):  # mean 5, sigma 1
        result, after = step(clipper, norm)
        assert result.threshold == math.inf
        assert after == norm
    return clipper


def test_a_spike_of_z_4_comes_down_to_mean_plus_sigma():
    result, after = step(warmed(), 9.0)
    assert after == pytest.approx(5 + 2**2 / 4)
    assert result.clipped
    assert result.threshold.item() == pytest.approx(6)


def test_a_larger_spike_comes_down_further():
    assert step(warmed(), 9.0)[1] > step(warmed(), 90.0)[1] > 5


def test_other_norms_stay_bit_for_bit():
    result, _ = step(warmed(), 6.9)
    assert not result.clipped
    assert result.scale == 1
    assert result.threshold.item() == pytest.approx(7)


def test_statistics_take_in_the_clipped_norm():
    clipper = warmed()
    step(clipper, 9.0)  # counts as 6
    state = clipper.state_dict()
    assert state["mean"] == pytest.approx(0.9 * 5 + 0.1 * 6)
    assert state["variance"] == pytest.approx(0.9 * 1 + 0.1 * (6 - 5.1) ** 2)


def test_equal_norms_pass():
    clipper = ZClip(warmup=3)
    for _ in range(10):
        assert not step(clipper, 2.0)[0].clipped


@pytest.mark.parametrize("norm", [0.0, 2.0])
def test_equal_norms_hold_no_later_one_back(norm):
    clipper = ZClip(warmup=3)
    for _ in range(5):
        step(clipper, norm)
    assert step(clipper, 7.0)[1] == 7


def published(norms, alpha=0.97, limit=2.5, warmup=25):
    """The norms after clipping, by the paper's formulas as they stand and its settings."""
    after = list(norms[:warmup])
    mean, variance = np.mean(after), np.var(after)
    for norm in norms[warmup:]:
        z = (norm - mean) / math.sqrt(variance)
        kept = mean + limit / z * limit * math.sqrt(variance) if z > limit else norm
        mean = alpha * mean + (1 - alpha) * kept
        variance = alpha * variance + (1 - alpha) * (kept - mean) ** 2
        after.append(kept)
    return after


def test_the_defaults_are_the_paper():
    norms = np.random.default_rng(0).lognormal(size=500)
    clipper = ZClip()
    found = [step(clipper, norm)[1] for norm in norms]
    assert found == pytest.approx(published(norms), rel=1e-9)
    assert 5 < clipper.clipped < 250


def test_state_in_the_middle_of_the_warmup():
    clipper, again = ZClip(warmup=2), ZClip(warmup=2)
    step(clipper, 4.0)
    again.load_state_dict(clipper.state_dict())
    for norm in (6.0, 30.0):
        assert step(clipper, norm) == step(again, norm)


def test_a_state_that_isnt_finite_is_refused():
    clipper = warmed()
    with pytest.raises(ValueError, match="mean"):
        clipper.load_state_dict({**clipper.state_dict(), "mean": math.nan})
