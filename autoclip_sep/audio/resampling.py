"""Another sample rate, also for a waveform that comes in blocks.

A sample of the output depends on the input within the reach of the filter. So each block is
resampled together with that much of what is before and after it, from a place where both rates
have a sample, and the rest is dropped: the same products are added in the same order.
"""

from collections.abc import Iterable, Iterator
from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF_FILTER = 10  # in samples of the lower rate: half the length of `resample_poly`'s filter


def resample(samples: NDArray[Any], from_rate: int, to_rate: int) -> NDArray[Any]:
    """samples (..., T) at another rate, by scipy's `resample_poly` (MATLAB's filter)."""
    if from_rate == to_rate:
        return samples
    # Imported here: slow to import, and not needed to train.
    from scipy.signal import resample_poly

    up, down = _ratio(from_rate, to_rate)
    resampled: NDArray[Any] = resample_poly(samples, up, down, axis=-1)
    return resampled


def latency(from_rate: int, to_rate: int) -> int:
    """Input samples that `resample_blocks` needs beyond one to give what stands for it."""
    if from_rate == to_rate:
        return 0
    up, down = _ratio(from_rate, to_rate)
    return _reach(up, down) + down


def resample_blocks(
    blocks: Iterable[NDArray[Any]], from_rate: int, to_rate: int
) -> Iterator[NDArray[Any]]:
    """Blocks (..., n) of a waveform at another rate: bit for bit as by `resample` at once.

    The blocks that come out are of other lengths, and there may be fewer or more of them.
    """
    if from_rate == to_rate:
        yield from blocks
        return
    up, down = _ratio(from_rate, to_rate)
    reach = _reach(up, down)
    held: NDArray[Any] | None = None
    done = 0  # of what is held: the samples whose output was yielded
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=-1)
        ready = (held.shape[-1] - reach) // down * down
        if ready > done:
            yield resample(held, from_rate, to_rate)[..., done // down * up : ready // down * up]
            dropped = max(0, ready - reach)
            held, done = held[..., dropped:], ready - dropped
    if held is not None:
        yield resample(held, from_rate, to_rate)[..., done // down * up :]


def _ratio(from_rate: int, to_rate: int) -> tuple[int, int]:
    """By how much to go up and down."""
    common = gcd(from_rate, to_rate)
    return to_rate // common, from_rate // common


def _reach(up: int, down: int) -> int:
    """Of the filter, in input samples: a multiple of `down`, where both rates have a sample."""
    return down * ceil(HALF_FILTER * max(up, down) / (up * down))
