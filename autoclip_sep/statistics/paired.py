"""Two systems, or two groups of runs over seeds, on the same items.

Sources of one mixture aren't independent: an item's score is the mean over its sources, and items
are what is drawn, counted and ranked. In means they weigh as many sources as have a score.
"""

import math
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame, Index
from scipy import stats

from autoclip_sep.errors import InputError
from autoclip_sep.names import some
from autoclip_sep.statistics.interval import ITEM, LEVEL, Values, bounds
from autoclip_sep.statistics.seeds_needed import seeds_needed


@dataclass(frozen=True)
class Paired:
    """How much higher a scores than b, in the scores' unit.

    mean, low, high: the mean difference and its interval, see statistics/interval.py. Only with
    several seeds does it concern the methods rather than these very networks.
    mean_a, mean_b: over the same items. items: compared. dropped: rows (item and source) left out,
    because some seed of either group has no finite score there.
    seeds_a, seeds_b: numbers of seeds; by_seed: whether each seed is compared with the same one.
    better_share: of the items, those where the mean over seeds is higher; equal ones count half.
    probability_of_improvement: P(a > b) over items and all pairs of seeds, equal ones count half
    (Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021).
    p_value: Wilcoxon's signed-rank test of the items' mean differences over seeds; it takes the
    seeds for granted. NaN where all are zero.
    seed_sd: standard deviation over seeds of the differences; where seeds aren't the same, of the
    scores within a group. seeds_needed: see statistics/seeds_needed.py; None where one can't say.
    """

    mean: float
    low: float
    high: float
    mean_a: float
    mean_b: float
    items: int
    dropped: int
    seeds_a: int
    seeds_b: int
    by_seed: bool
    better_share: float
    probability_of_improvement: float
    p_value: float
    seed_sd: float
    seeds_needed: int | None


def paired(a: DataFrame, b: DataFrame, level: float = LEVEL) -> Paired:
    """Compare two tables of scores, higher is better.

    a, b: rows indexed by item and source (or item alone), a column for each seed; NaN where a
    score is undefined. Where the columns are the same, seeds are compared pairwise.
    Raises InputError where the rows aren't the same, or none has a score in all seeds.
    """
    first, second, dropped = _complete(a, b)
    by_seed = set(a.columns) == set(b.columns)
    x, y = _by_item(first), _by_item(second)  # (seeds, items)
    weights = np.array(first.groupby(level=_item(first)).size(), np.float64)
    groups = [x - y] if by_seed else [x, y]
    of_items = x.mean(axis=0) - y.mean(axis=0)
    mean, sd = float(np.average(of_items, weights=weights)), _seed_sd(groups, weights)
    low, high = bounds(groups, weights, level)
    return Paired(
        mean=mean,
        low=low,
        high=high,
        mean_a=float(first.to_numpy().mean()),
        mean_b=float(second.to_numpy().mean()),
        items=x.shape[1],
        dropped=dropped,
        seeds_a=len(x),
        seeds_b=len(y),
        by_seed=by_seed,
        better_share=_higher(of_items, np.zeros_like(of_items)),
        probability_of_improvement=_higher(x[:, None], y[None]),
        p_value=_wilcoxon(of_items),
        seed_sd=sd,
        seeds_needed=seeds_needed(mean, sd, paired=by_seed),
    )


def _complete(a: DataFrame, b: DataFrame) -> tuple[DataFrame, DataFrame, int]:
    """The rows with finite scores in all seeds of both, in the same order, and how many haven't."""
    for table in (a, b):
        if not table.index.is_unique:
            raise InputError(f"{_named(table.index[table.index.duplicated()])}: scored twice")
    alone = a.index.symmetric_difference(b.index)
    if len(alone):
        raise InputError(f"{len(alone)} rows are scored in one of the two only: {_named(alone)}")
    b = b.reindex(a.index)
    finite = np.isfinite(a.to_numpy()).all(axis=1) & np.isfinite(b.to_numpy()).all(axis=1)
    if not finite.any():
        raise InputError("no item has a score in all runs: there is nothing to compare")
    return a.loc[finite], b.loc[finite], int((~finite).sum())


def _named(rows: Index) -> str:
    return some([" ".join(map(str, np.atleast_1d(np.array(row, object)))) for row in rows])


def _by_item(table: DataFrame) -> Values:
    """Means over sources, seeds and items in the order of their names: (seeds, items)."""
    return table.sort_index(axis=1).groupby(level=_item(table)).mean().T.to_numpy()


def _item(table: DataFrame) -> str | int:
    """The level of the index that names items."""
    return ITEM if table.index.nlevels > 1 else 0


def _higher(a: Values, b: Values) -> float:
    """How often a is above b; equal ones count half."""
    return float((a > b).mean() + (a == b).mean() / 2)


def _wilcoxon(differences: Values) -> float:
    if not differences.any():
        return math.nan
    return float(stats.wilcoxon(differences).pvalue)


def _seed_sd(groups: list[Values], weights: Values) -> float:
    """Over seeds, pooled over groups; NaN where a group has one seed."""
    if min(map(len, groups)) < 2:
        return math.nan
    means = [np.average(group, axis=1, weights=weights) for group in groups]
    squares = sum(((one - one.mean()) ** 2).sum() for one in means)
    return float(math.sqrt(squares / sum(len(one) - 1 for one in means)))
