"""Numbers over seeds: a value for every seed, their mean and standard deviation."""

import math
from statistics import fmean, stdev

import numpy as np
from pandas import DataFrame, Series


def by_seed(runs: DataFrame, column: str, number: str) -> DataFrame:
    """A number of every run: a row for each seed, a column for each value of `column`, rising.

    NaN where there is none that is finite. Of runs that are the same to `column` (to the percentile
    those without clipping and with p = 100) each seed counts once.
    """
    once = runs.dropna(subset=column).drop_duplicates([column, "seed"])
    order = list(once[column].sort_values().unique())  # of strategies, that of their categories
    once = once.astype({column: object})
    table = once.pivot(index="seed", columns=column, values=number).astype(float)[order]
    return table.where(np.isfinite(table))


def mean(values: Series) -> float:
    """Of the seeds that have a value, exact whatever their order; NaN without any."""
    known = values.dropna()
    return fmean(known) if len(known) else math.nan


def sd(values: Series) -> float:
    """Standard deviation (n - 1 below) of the seeds that have a value.

    NaN for fewer than two, and where one is infinite, as the SI-SDR of a perfect estimate is.
    """
    known = values.dropna()
    return stdev(known) if len(known) > 1 and np.isfinite(known).all() else math.nan


def with_sd(mean: float, sd: float, sign: str = "") -> str:
    """Mean ± standard deviation; without the latter for one seed, empty without any."""
    if not math.isfinite(mean):
        return ""
    spread = f" ± {sd:.2f}" if math.isfinite(sd) else ""
    return f"{mean:{sign}.2f}".replace("-", "−") + spread


def as_text(values: Series, sign: str = "") -> str:
    """The same of values by seed."""
    return with_sd(mean(values), sd(values), sign)
