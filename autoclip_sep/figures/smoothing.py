"""Running medians: the course of a noisy series, which single spikes don't move."""

import warnings

import numpy as np

from autoclip_sep.figures.runs_found import Series


def running_median(values: Series, window: int) -> Series:
    """The median of `window` (odd) values around each; towards both ends, of as many as there are.

    values: (rows,); NaNs are left out. Returns (rows,), NaN where a window holds nothing else.
    """
    half = window // 2
    padded = np.pad(np.asarray(values, dtype=float), half, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        medians = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
    return np.asarray(medians)
