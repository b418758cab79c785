import math

import numpy as np
import pytest
from scipy import stats

from autoclip_sep.errors import InputError
from autoclip_sep.statistics import interval as module
from autoclip_sep.statistics.interval import interval


@pytest.mark.parametrize(("seeds", "of_seeds"), [(1, 0.0), (3, 0.2), (5, 0.3)])
def test_intervals_of_95_percent_hold_the_truth_in_95_percent(monkeypatch, seeds, of_seeds):
    """Crossed effects of seeds and skewed ones of items. Plain percentiles of 3 seeds: 0.87."""
    monkeypatch.setattr(module, "DRAWS", 1000)
    rng, runs, held = np.random.default_rng(5), 400, 0
    for _ in range(runs):
        scores = rng.normal(7, of_seeds, (seeds, 1)) + rng.exponential(1, 80) - 1
        found = interval(scores + rng.normal(0, 1, (seeds, 80)))
        held += found.low <= 7 <= found.high
    assert 0.92 <= held / runs <= 0.98  # 3 standard deviations of 400 runs below and above


def test_of_one_seed_it_is_scipys_but_for_small_samples():
    scores = np.random.default_rng(0).gamma(2, 3, 400)
    found = interval(scores)
    expected = stats.bootstrap((scores,), np.mean, method="percentile", rng=1).confidence_interval
    assert found.mean == scores.mean()
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.02)
    assert (found.seeds, found.items) == (1, 400)


def test_the_standard_error_of_two_levels_is_the_known_one():
    """With no skew, many seeds and items: mean ± t · sqrt(variance over seeds + over items)."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 1, (40, 1)) + rng.normal(0, 1, 60)
    error = math.sqrt(scores.mean(1).var(ddof=1) / 40 + scores.mean(0).var(ddof=1) / 60)
    found = interval(scores)
    assert (found.high - found.low) / 2 == pytest.approx(1.985 * error, rel=0.03)


def test_the_same_at_every_call_and_in_any_order_of_memory():
    scores = np.random.default_rng(2).normal(size=(3, 50))
    assert interval(scores) == interval(np.asfortranarray(scores))


def test_items_of_several_sources_weigh_as_many():
    """An item twice as heavy is nearly one that is there twice, but drawn as one."""
    rng = np.random.default_rng(7)
    scores, sources = rng.normal(size=300), rng.integers(1, 3, 300)
    found = interval(scores, sources)
    alone = interval(np.repeat(scores, sources))
    assert found.mean == pytest.approx(alone.mean)
    # The ratio estimator's error: Cochran, "Sampling techniques" (1977), 6.3.
    error = math.sqrt((sources**2 * (scores - found.mean) ** 2).sum()) / sources.sum()
    assert (found.high - found.low) / 2 == pytest.approx(1.968 * error, rel=0.04)
    assert found.high - found.low > 1.05 * (alone.high - alone.low)


def test_what_says_nothing_about_others_has_no_bounds():
    assert math.isnan(interval([3.0]).low)
    assert math.isnan(interval([[3.0], [4.0]]).high)
    assert interval([2.0, 2.0, 2.0]) == module.Interval(2.0, 2.0, 2.0, 1, 3)


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [[1.0, math.inf]], np.zeros((2, 2, 2))])
def test_scores_that_have_no_mean_are_refused(scores):
    with pytest.raises(InputError, match="must be finite numbers"):
        interval(scores)
