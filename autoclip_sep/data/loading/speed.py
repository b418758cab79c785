"""Speed perturbation: a signal faster or slower, its pitch and tempo together, by resampling.

Source: Ko et al., "Audio augmentation for speech recognition" (Interspeech 2015). Resampled by
torchaudio, whose filter is computed once for each speed. Difference: a part of a signal at another
speed is computed from what it needs of the signal, and is what it would be in the whole signal.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

NORMAL = Fraction(1)


def as_ratio(speed: float) -> Fraction:
    """A speed such as 0.95 as the ratio of two small integers.

    Raises ValueError unless it is from 0.5 to 2 in steps of 0.01: the filter of any other speed
    would be long.
    """
    ratio = Fraction(round(100 * speed), 100)
    if not 0.5 <= speed <= 2 or abs(100 * speed - round(100 * speed)) > 1e-6:
        raise ValueError(f"a speed must be from 0.5 to 2, in steps of 0.01, not {speed!r}")
    return ratio


def length_at(speed: Fraction, length: int) -> int:
    """Samples of a signal of that length at another speed."""
    return -(-length * speed.denominator // speed.numerator)


def at_speed(
    speed: Fraction,
    read: Callable[[int, int], NDArray[Any]],
    length: int,
    start: int,
    frames: int,
) -> Tensor:
    """Samples `start` to `start + frames` of a signal at another speed, (C, frames) float32.

    read: gives `n` samples of the signal from a place on, (C, n). length: of the signal, which is
    zero before and after; start and frames count samples at the new speed.
    """
    if speed == NORMAL:
        return torch.from_numpy(read(start, frames).astype("float32"))
    period, phases = speed.numerator, speed.denominator  # samples in which both rates meet
    resampler = _resampler(speed)
    reach = -(-resampler.width // period) * period  # of the filter
    first = max(0, start // phases * period - reach)
    end = min(length, -(-(start + frames) // phases) * period + reach)
    sound = torch.from_numpy(read(first, end - first).astype("float32"))
    with torch.no_grad():
        resampled: Tensor = resampler(sound)
    skipped = start - first // period * phases
    return resampled[:, skipped : skipped + frames]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch's, as its workers have: the last bits of a convolution depend on it."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=64)
def _resampler(speed: Fraction) -> Any:
    from torchaudio.transforms import Resample  # imported here: few runs need it

    return Resample(speed.numerator, speed.denominator)
