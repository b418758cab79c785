"""Running medians: the trend of a noisy series, which single spikes don't move."""

import math
import warnings

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from autoclip_sep.figures.record_files import Series


def running_median(values: Series, window: int) -> Series:
    """The median of `window` (odd) values around each; towards both ends, of as many as there are.

    values: (..., rows); NaNs are left out. Returns the same shape, NaN where a window holds nothing
    else.
    """
    beside = [(0, 0)] * (np.ndim(values) - 1) + [(window // 2, window // 2)]
    padded = np.pad(np.asarray(values, dtype=float), beside, constant_values=math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of windows that hold NaN only
        return np.asarray(np.nanmedian(sliding_window_view(padded, window, axis=-1), axis=-1))
