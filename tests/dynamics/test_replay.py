import math

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip
from autoclip_sep.dynamics import replay


def varied(steps=400):
    """Norms with many ties, zeros, and now and then one that isn't finite."""
    values = torch.randint(0, 12, (steps,), dtype=torch.float64) / 7
    rough = torch.rand(steps, dtype=torch.float64).exp()
    norms = torch.where(torch.rand(steps) < 0.5, values, rough)
    norms[[5, 6, 77]] = math.nan
    norms[[120, 399]] = math.inf
    return norms


def clip(clipper, norms):
    """What the real clipper does with one gradient of each norm: its results by field."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    results = []
    for norm in norms:
        parameter.grad = norm.reshape(1).clone()
        results.append(clipper.clip_gradients([parameter]))
    return [torch.stack(field) for field in zip(*results, strict=True)]


@pytest.mark.parametrize("window", [None, 1, 30])
@pytest.mark.parametrize("warmup", [0, 1, 25])
def test_is_what_autoclip_does_to_the_bit(window, warmup):
    percentiles = [0, 1, 10, 33.3, 50, 99.9, 100]
    norms = varied()
    replayed = replay(norms, percentiles, window=window, warmup=warmup)
    assert [one.percentile for one in replayed] == percentiles
    for one in replayed:
        clipper = AutoClip(one.percentile, window=window, warmup=warmup)
        seen, thresholds, scales, clipped, finite = clip(clipper, norms)
        assert torch.equal(seen[finite], norms[finite])
        assert torch.equal(one.finite, finite)
        assert torch.equal(one.thresholds, thresholds)
        assert torch.equal(one.scales, scales)
        assert torch.equal(one.clipped, clipped)
        assert int((~one.finite).sum()) == clipper.skipped == 5
        assert math.isclose(one.share, clipper.clipped / 395)


def test_of_a_shadow_is_the_clipper_that_was_not_there():
    """The history of a run that only watched, asked afterwards."""
    shadow, clipper = AutoClip(None), AutoClip(25)
    norms = varied()
    *_, finite = clip(shadow, norms)
    _, thresholds, *_ = clip(clipper, norms)
    (one,) = replay(shadow.history, [25])
    assert shadow.clipped == 0
    assert torch.equal(one.thresholds, thresholds[finite & (norms > 0)])


def test_the_numbers_by_hand():
    """Thresholds at p = 50 of 4, 1, 3, (nan), 8, 6: 4, 2.5, 3, -, 3.5, 4."""
    (one,) = replay([4, 1, 3, math.nan, 8, 6], [50])
    assert one.thresholds.tolist() == [4, 2.5, 3, math.inf, 3.5, 4]
    assert one.clipped.tolist() == [False, False, False, False, True, True]
    assert one.scales.tolist() == [1, 1, 1, 1, 3.5 / 8, 4 / 6]
    assert one.share == 0.4
    assert math.isclose(one.mean_scale, (3.5 / 8 + 4 / 6) / 2)
    assert one.min_scale == 3.5 / 8
    assert one.last_threshold == 4
    assert one.late_range == (3, 4)


def test_the_last_threshold_is_that_of_the_last_step_taken():
    (one,) = replay([1, 3, math.nan], [100])
    assert one.last_threshold == 3


def test_zeros_are_no_norms():
    """Thresholds at p = 50 of 4, 0, 2, 0 after a warm-up of one norm: -, -, 3, -."""
    (one,) = replay([4, 0, 2, 0], [50], warmup=1)
    assert one.thresholds.tolist() == [math.inf, math.inf, 3, math.inf]
    assert one.scales.tolist() == [1, 1, 1, 1]
    assert one.last_threshold == 3
    assert replay([4, 0, 2, 0], [50])[0].late_range == (3, 3)


def test_p_100_never_clips():
    (one,) = replay(varied(), [100])
    assert one.share == 0
    assert math.isnan(one.mean_scale)
    assert one.min_scale == 1


def test_a_warmup_of_all_steps_has_no_threshold():
    (one,) = replay([1, 2, 3], [10], warmup=3)
    assert one.last_threshold == math.inf
    assert one.share == 0


def test_norms_of_any_kind():
    """What a loop has collected: numbers, 0-dim tensors, a float32 row."""
    row = torch.tensor([0.1, 0.7, 0.3])
    expected = replay(row.double(), [10])[0].thresholds
    for norms in (row, row.tolist(), list(row.unbind())):
        assert torch.equal(replay(norms, [10])[0].thresholds, expected)


@pytest.mark.parametrize(
    ("norms", "settings", "message"),
    [
        ([], {}, "at least one of them finite"),
        ([math.nan, math.inf, 0.0], {}, "at least one of them finite and above 0"),
        ([[1.0, 2.0]], {}, "one row"),
        ([1.0, -0.5, 2.0], {}, "never below 0, unlike -0.5"),
        ([1.0], {"percentiles": [101]}, "percentile must be"),
        ([1.0], {"window": 0}, "window must be"),
        ([1.0], {"warmup": -1}, "warmup must be"),
        ([1.0], {"percentiles": [True]}, "percentile must be"),
        ([1.0], {"percentiles": ["10"]}, "percentile must be"),
        ([1.0], {"percentiles": [math.nan]}, "percentile must be"),
        ([1.0], {"window": 2.5}, "window must be"),
        ([1.0], {"warmup": True}, "warmup must be"),
    ],
)
def test_what_cannot_be_replayed_is_refused(norms, settings, message):
    with pytest.raises(ValueError, match=message):
        replay(norms, **{"percentiles": [10], **settings})
