"""Where a run leaves the range of its references, quantity by quantity, and how far.

Losses, norms, step sizes and rates are compared as ratios, in log10; scores in dB and shares as
differences. Every curve is replaced by its running median, which single spikes don't move. The
range around the mean of R references reaches

    factor * s * sqrt(1 + 1/R)

to both sides. s is the standard deviation between the references' medians: the one of the
neighbourhood, or its median over the whole curve where that is larger, or a third of what is usual
between seeds where that is larger still. With one reference s is what is usual. A curve has left
the range where it stays on one side of it for two windows in a row.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from autoclip_sep.figures.comparison.records import RecordedRun

WINDOWS = 24  # running medians are taken over 1/24 of a whole run
HOLD = 2  # windows on one side of the range before a curve has left it

# Standard deviations, by the number of references; the fewer, the less is known of their spread.
# Measured, not read off a table, because neighbouring medians are no independent draws.
FACTORS = {1: 5.0, 2: 8.0, 3: 7.0}
FACTOR = 6.0  # of more references
FLOOR = 1 / 3
DECIBELS_STD = 0.3  # usual_std of a loss in dB


@dataclass(frozen=True)
class Quantity:
    """A recorded column.

    usual_std: the standard deviation between seeds, in log10 (or in `unit`), as it was in small
    runs with and without clipping, with room for others. log: whether ratios are compared.
    diverges: whether NaN and inf mean that the run diverged.
    """

    file: str
    column: str
    name: str
    usual_std: float
    unit: str = ""
    log: bool = True
    diverges: bool = False


QUANTITIES = (
    Quantity("dynamics.csv", "loss", "loss of a batch", 0.03, diverges=True),
    Quantity("dynamics.csv", "grad_norm", "gradient norm", 0.08, diverges=True),
    Quantity("dynamics.csv", "threshold", "threshold", 0.12),
    Quantity("dynamics.csv", "step_norm", "step size", 0.045),
    Quantity("dynamics.csv", "smoothness", "smoothness", 0.15),
    Quantity("history.csv", "train_loss", "training loss", 0.015, diverges=True),
    Quantity("history.csv", "valid_loss", "validation loss", 0.02, diverges=True),
    Quantity("history.csv", "valid_si_sdr", "validation SI-SDR", 0.4, unit=" dB", log=False),
    Quantity("history.csv", "lr", "learning rate", 0.04),
    Quantity("history.csv", "clipped_share", "clipped share", 0.03, log=False),
)


@dataclass(frozen=True)
class Curve:
    """One quantity of a run and its references.

    table: by step, what the run `recorded`, the running medians of the `run` and of the `reference`
    (the mean of all), and the range from `low` to `high`. hold: so many records in a row outside
    count as leaving. left, back: the steps where the run leaves and where it is back; inf for
    never. away: how far it is in between from the reference, as a ratio where quantity.log, else as
    a difference; inf where it diverged.
    """

    quantity: Quantity
    table: DataFrame
    hold: int
    left: float
    back: float
    away: float


def compare(run: RecordedRun, references: Sequence[RecordedRun]) -> list[Curve]:
    """A curve for every quantity that the run and all references have, over shared records."""
    curves = []
    for quantity in QUANTITIES:
        tables = [one.tables.get(quantity.file, DataFrame()) for one in (run, *references)]
        if all(quantity.column in table for table in tables):
            curves.append(_curve(quantity, tables[0], tables[1:]))
    return [curve for curve in curves if curve is not None]


def _curve(quantity: Quantity, run: DataFrame, references: Sequence[DataFrame]) -> Curve | None:
    """None where there is no shared record to compare."""
    columns = [table[quantity.column] for table in references]
    known = pd.concat(columns, axis=1, join="inner", ignore_index=True)
    values = known.join(run[quantity.column].rename("run"), how="inner")
    values = values.where(np.isfinite(values)).set_axis(run.loc[values.index, "step"])
    missing = values["run"].isna()
    comparable = values.drop(columns="run").notna().all(axis=1)
    if not comparable.any() or (missing.all() and not quantity.diverges):
        return None
    if quantity.column.endswith("loss") and (values <= 0).any(axis=None):
        quantity = replace(quantity, usual_std=DECIBELS_STD, unit=" dB", log=False)
    scaled = values.where(values > 0).apply(np.log10) if quantity.log else values

    whole = round(len(values) / (known.index <= run.index[-1]).mean())  # records of a whole run
    window = max(3, round(whole / WINDOWS) // 2 * 2 + 1)
    medians = scaled.rolling(window, center=True, min_periods=1).median()
    median = medians.pop("run")
    if quantity.diverges:
        failed = (missing & comparable).rolling(window, center=True, min_periods=1).mean()
        median = median.mask(failed >= 0.5, math.inf)
    reference = medians.mean(axis=1, skipna=False)
    width = _half_width(medians, window, quantity.usual_std)
    distance = median - reference
    left, back = _first_outside(distance, width, HOLD * window)
    away = distance[(left <= distance.index) & (distance.index < back)].median()
    table = DataFrame({"recorded": scaled["run"], "run": median, "reference": reference,
                       "low": reference - width, "high": reference + width})  # fmt: skip
    if quantity.log:
        table, away = 10**table, np.power(10.0, away)
    return Curve(quantity, table, HOLD * window, left, back, away)


def _half_width(medians: DataFrame, window: int, usual_std: float) -> "Series[float] | float":
    """How far the range reaches to both sides of the references' mean.

    medians: (n, R), of the references. usual_std: between seeds.
    """
    count = medians.shape[1]
    factor = FACTORS.get(count, FACTOR) * math.sqrt(1 + 1 / count)
    if count == 1:
        return factor * usual_std
    variance = medians.var(axis=1, ddof=1, skipna=False)
    nearby = variance.rolling(2 * HOLD * window + 1, center=True, min_periods=1).mean()
    least = max(float(variance.median()), (FLOOR * usual_std) ** 2)
    return factor * np.sqrt(nearby.clip(lower=least).fillna(least))


def _first_outside(
    distance: "Series[float]", width: "Series[float] | float", hold: int
) -> tuple[float, float]:
    """The first steps from where `hold` records in a row are outside, and inside again; or inf.

    distance: (n,), by step, from the references' mean. width: how far the range reaches.
    """
    side = (distance > width).astype(int) - (distance < -width).astype(int)
    leaves = side.rolling(hold).sum().shift(1 - hold).abs() == hold
    left = min(side.index[leaves], default=math.inf)
    inside = (side == 0).rolling(hold).sum().shift(1 - hold) == hold
    back = min(side.index[inside & (side.index > left)], default=math.inf)
    return float(left), float(back)
