"""Where a curve leaves the band of its references: a criterion that spikes don't move.

Every curve is replaced by its running median. The band around the mean of R references reaches

    factor * s * sqrt(1 + 1/R)

to both sides. s is the standard deviation between the references' medians: the one of the
neighbourhood, or its median over the whole curve where that is larger, or half of what is usual
between seeds where that is larger still. With one reference s is what is usual. A curve has left
the band where it stays on one side of it for two windows in a row.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from autoclip_sep.figures.runs_found import Series
from autoclip_sep.figures.smoothing import running

WINDOWS = 24  # running medians are taken over 1/24 of a whole run
HOLD = 2  # windows on one side of the band before a curve has left it

# Standard deviations, by the number of references; the fewer, the less is known of their spread.
# Measured, not read off a table, because neighbouring medians are no independent draws.
FACTORS = {1: 5.0, 2: 8.0, 3: 7.0}
FACTOR = 6.0  # of more references

FLOOR = 1 / 3


def window_for(records: int) -> int:
    """The odd number of records that a running median of a run of so many takes, at least 3."""
    return max(3, round(records / WINDOWS) // 2 * 2 + 1)


def spread(medians: Series, window: int, usual: float) -> Series:
    """The standard deviation between references, (n,).

    medians: (R, n), of references. usual: the one between seeds.
    """
    if len(medians) == 1:
        return np.full(medians.shape[-1], usual)
    variance = medians.var(axis=0, ddof=1)
    nearby = running(np.nanmean, variance, 2 * HOLD * window + 1)
    least = max(float(np.nanmedian(variance)), (FLOOR * usual) ** 2)
    return np.sqrt(np.fmax(nearby, least))


def half_width(medians: Series, window: int, usual: float) -> Series:
    """How far the band reaches to both sides of the references' mean, (n,)."""
    references = len(medians)
    factor = FACTORS.get(references, FACTOR)
    return factor * math.sqrt(1 + 1 / references) * spread(medians, window, usual)


def outside(curve: Series, centre: Series, width: Series) -> Series:
    """-1 below the band, 1 above it, 0 inside or where something is unknown, (n,)."""
    away = curve - centre
    return np.where(np.abs(away) > width, np.sign(away), 0.0)


def leaves(sides: Series, hold: int) -> int | None:
    """The first place from where a curve is on one side of the band `hold` times in a row."""
    if len(sides) < hold:
        return None
    stretches = sliding_window_view(sides, hold)
    found = np.flatnonzero((stretches == stretches[:, :1]).all(axis=1) & (stretches[:, 0] != 0))
    return int(found[0]) if len(found) else None
