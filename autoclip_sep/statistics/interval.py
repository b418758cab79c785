"""Bootstrap intervals of a mean over seeds and items.

Every seed scores the same items, so the two are crossed: both are drawn with replacement,
independently (Owen, "The pigeonhole bootstrap", 2007). Of n, n - 1 are drawn, which makes the
variance of the mean unbiased (Rao and Wu, 1988).

Percentiles of few seeds are too narrow: they can't reach beyond the outermost seeds, and the truth
lies outside of three in a quarter of all cases. So the percentiles' distances from the mean are
multiplied by the ratio of Student's to the normal quantile, at Satterthwaite's degrees of freedom.
In simulations of 3 seeds whose spread outweighs that of 200 items, intervals of 95 % then held the
truth in 93 to 96 % of cases, plain percentiles in 77 to 90 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame
from scipy import stats

from autoclip_sep.errors import InputError

LEVEL = 0.95
ITEM = "item"  # the level of an index that says which rows belong together
DRAWS = 10_000
TOGETHER = 500  # draws at a time, which bounds the memory
SEED = 0

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean, and between which bounds the true one lies; bounds are NaN for fewer than two items.

    seeds: with one seed the interval is of this very network; it says nothing about others.
    """

    mean: float
    low: float
    high: float
    seeds: int
    items: int


def interval(values: ArrayLike, weights: ArrayLike | None = None, level: float = LEVEL) -> Interval:
    """The mean of (seeds, items) or (items,) and its interval; the same at every call.

    weights: (items,), above zero, such as the number of sources that an item's value is the mean
    of; 1 by default. Raises InputError for no values, and for some that aren't finite: leave those
    out, and say so.
    """
    found = matrix(values)
    counts = np.ones(found.shape[1]) if weights is None else np.asarray(weights, np.float64)
    mean = float(np.average(found.mean(axis=0), weights=counts))
    return Interval(mean, *bounds([found], counts, level), *found.shape)


def of_items(scores: DataFrame, level: float = LEVEL) -> Interval:
    """The same of scores by item and source, a column for each seed.

    Items are what is drawn, in the order of their names: the table's doesn't matter. In the mean
    they weigh as many sources as have a score in every seed.
    """
    by_item = scores[np.isfinite(scores).all(axis=1)].groupby(level=ITEM)
    means = by_item.mean()
    if means.empty:
        raise InputError("no item has a score in every run")
    return interval(means.T, by_item.size(), level)


def matrix(values: ArrayLike) -> Values:
    """The values as (seeds, items), checked."""
    found = np.atleast_2d(np.array(values, np.float64, order="C"))
    if found.ndim != 2 or not found.size or not np.isfinite(found).all():
        raise InputError(f"scores {found.shape}: must be finite numbers by seed and item")
    return found


def bounds(groups: Sequence[Values], weights: Values, level: float) -> tuple[float, float]:
    """Of the mean of the first group less those of the others, each (seeds, items).

    The items are the same in all groups, and drawn together; the seeds are each group's own.
    weights: (items,).
    """
    items = groups[0].shape[1]
    if items < 2:
        return np.nan, np.nan
    over_seeds = [_signed(n, group).mean(axis=0) for n, group in enumerate(groups)]
    of_items = np.sum(over_seeds, axis=0)
    mean, tail = float(np.average(of_items, weights=weights)), (1 - level) / 2
    # What each item adds to the weighted mean, and each seed: their variances are the mean's.
    means = [weights / weights.mean() * (of_items - mean)]
    means += [np.average(group, axis=1, weights=weights) for group in groups if len(group) > 1]
    freedoms = np.array([len(one) - 1 for one in means])
    parts = np.array([one.var(ddof=1) / len(one) for one in means])  # of the variance
    if not parts.any():
        return mean, mean
    freedom = parts.sum() ** 2 / (parts**2 / freedoms).sum()
    stretch = stats.t.ppf(tail, freedom) / stats.norm.ppf(tail)
    low, high = mean + stretch * (np.quantile(_draws(groups, weights), [tail, 1 - tail]) - mean)
    return float(low), float(high)


def _draws(groups: Sequence[Values], weights: Values) -> Values:
    """Means of the first group less the others', of drawn seeds and items: (DRAWS,)."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(DRAWS // TOGETHER):
        of_items = _shares(rng, groups[0].shape[1]) * weights
        of_items /= of_items.sum(axis=1, keepdims=True)
        means = np.zeros(TOGETHER)
        for n, group in enumerate(groups):
            of_seeds = _shares(rng, len(group))
            means += (of_items * (of_seeds @ _signed(n, group))).sum(axis=1)
        found.append(means)
    return np.concatenate(found)


def _shares(rng: np.random.Generator, count: int) -> Values:
    """What each of `count` weighs in each draw: (TOGETHER, count)."""
    drawn = max(count - 1, 1)
    places = rng.integers(count, size=(TOGETHER, drawn)) + count * np.arange(TOGETHER)[:, None]
    return np.bincount(places.ravel(), minlength=TOGETHER * count).reshape(TOGETHER, -1) / drawn


def _signed(number: int, group: Values) -> Values:
    return -group if number else group
