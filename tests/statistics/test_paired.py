import math

import numpy as np
import pytest
from pandas import DataFrame, MultiIndex
from scipy import stats

from autoclip_sep.errors import InputError
from autoclip_sep.statistics.interval import interval
from autoclip_sep.statistics.paired import paired


def table(scores, seeds=None, items=None):
    """Scores (items, sources, seeds) as a table."""
    scores = np.asarray(scores, float)
    names = items or [f"m{n}" for n in range(scores.shape[0])]
    rows = MultiIndex.from_product(
        [names, [str(n + 1) for n in range(scores.shape[1])]], names=["item", "source"]
    )
    return DataFrame(scores.reshape(len(rows), -1), rows, list(seeds or range(scores.shape[2])))


def test_by_hand():
    """Two items, one source, two seeds: every number can be counted."""
    a = table([[[3.0, 5.0]], [[1.0, 1.0]]])
    b = table([[[2.0, 2.0]], [[1.0, 3.0]]])
    found = paired(a, b)
    assert (found.mean, found.mean_a, found.mean_b) == (0.5, 2.5, 2.0)
    assert found.better_share == 0.5  # the items' means: 2 and -1
    # Item 1: 4 of 4 pairs; item 2: 1 against 1 twice and 3 twice: two equal ones, which count half.
    assert found.probability_of_improvement == (4 + 1) / 8
    assert found.seed_sd == 0  # by seed: 0.5 and 0.5
    assert found.seeds_needed == 2
    assert (found.items, found.dropped, found.by_seed) == (2, 0, True)


def test_seeds_are_paired_by_number_and_items_by_name():
    rng = np.random.default_rng(0)
    b = table(rng.normal(size=(50, 2, 3)), [0, 1, 2])
    a = b + 1 + table(rng.normal(0, 0.1, (50, 2, 3)), [0, 1, 2])
    moved = a[[2, 0, 1]].sample(frac=1, random_state=1)
    found, expected = paired(moved, b), paired(a, b)
    assert found.mean == pytest.approx(expected.mean)
    assert found.high - found.low < 0.1
    assert (found.low, found.high) == (expected.low, expected.high)
    assert interval((a - b).groupby("item").mean().T).low == pytest.approx(expected.low)


def test_seeds_of_their_own_widen_the_interval():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, (1, 1, 4))  # what a seed does to both
    b = table(rng.normal(size=(50, 1, 1)) + shared)
    a = b + 0.5 + table(rng.normal(0, 0.1, (50, 1, 4)))
    alike, apart = paired(a, b), paired(a.set_axis([4, 5, 6, 7], axis=1), b)
    assert alike.by_seed
    assert not apart.by_seed
    assert apart.mean == pytest.approx(alike.mean)
    assert apart.high - apart.low > 10 * (alike.high - alike.low)
    assert apart.seeds_needed > alike.seeds_needed
    group = float(b.mean().std())
    assert apart.seed_sd == pytest.approx(group, rel=0.1)


def test_one_run_against_three():
    rng = np.random.default_rng(0)
    found = paired(table(rng.normal(1, 1, (30, 1, 1))), table(rng.normal(0, 1, (30, 1, 3))))
    assert (found.seeds_a, found.seeds_b, found.by_seed) == (1, 3, False)
    assert found.low < 1 < found.high
    assert math.isnan(found.seed_sd)
    assert found.seeds_needed is None


def test_wilcoxon_is_of_the_items_means():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.3, 1, (40, 2, 3)), rng.normal(0, 1, (40, 2, 3))
    expected = stats.wilcoxon((a - b).mean(axis=(1, 2))).pvalue
    assert paired(table(a), table(b)).p_value == pytest.approx(expected)
    assert math.isnan(paired(table(a), table(a)).p_value)


def test_undefined_scores_are_left_out_in_pairs_and_counted():
    a, b = np.ones((3, 2, 2)), np.zeros((3, 2, 2))
    a[0, 0, 1], b[1, 1, 0] = math.nan, math.inf
    a[2] = 3
    found = paired(table(a), table(b))
    assert (found.items, found.dropped) == (3, 2)
    assert found.mean == pytest.approx((1 + 1 + 3 + 3) / 4)  # every source that is left counts once


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (table(np.ones((2, 1, 1))), table(np.ones((3, 1, 1))), "1 rows are scored in one .* m2 1"),
        (table(np.ones((2, 1, 1)), items=["x", "x"]), table(np.ones((2, 1, 1))), "scored twice"),
        (table(np.full((2, 1, 1), math.nan)), table(np.ones((2, 1, 1))), "nothing to compare"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(a, b, message):
    with pytest.raises(InputError, match=message):
        paired(a, b)
