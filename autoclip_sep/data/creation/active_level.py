"""Active speech level, ITU-T P.56 method B: the power of speech without its pauses.

As voicebox's `activlev` computes it with its default band filters, which is how WSJ0-2mix was
made: the binning of the envelope, and with it the level, differ slightly from a literal P.56 meter.
Difference: activlev counts its bins, of 3 dB each, from full scale, so that a gain that isn't a
multiple of 3 dB changes the level by some hundredths of a dB too much or too little. Here they are
counted from the signal's own mean power, unless full scale is asked for.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Filter = tuple[NDArray[np.float64], NDArray[np.float64]]

TAIL = 0.35  # seconds of zeros appended, so that the envelope of the last word decays
SMOOTHING = 0.03  # seconds, each of the envelope's two one-pole filters
HANGOVER = 0.2  # seconds the envelope is held at its maximum
BINS = 20
MARGIN = 15.9  # dB between the active level and the threshold of activity
HIGH_PASS, LOW_PASS = 200.0, 5500.0  # Hz, where the band filters are 0.25 dB down
LOW_PASS_FROM = 12100.0  # Hz, the sample rate from which the low-pass is applied


def active_speech_level(
    signal: ArrayLike, sample_rate: int, full_scale: float | None = None
) -> float:
    """Mean power of the active parts of signal (T,); 0.0 for silence.

    A gain g changes the level by g squared and nothing else. sample_rate in Hz, above 400.
    full_scale: the power that the bins are counted from, 1.0 in activlev; None is the signal's own.
    """
    from scipy.signal import lfilter  # imported here: slow to import, and not needed to train

    samples = np.asarray(signal, dtype=np.float64)
    if samples.size == 0 or not samples.any():
        return 0.0
    samples = np.concatenate([samples, np.zeros(int(np.ceil(TAIL * sample_rate)))])
    for numerator, denominator in _band_filters(sample_rate):
        samples = lfilter(numerator, denominator, samples)
    power = float(np.mean(samples**2))
    unit = power if full_scale is None else full_scale
    decay = np.exp(-1.0 / (SMOOTHING * sample_rate))
    pole = np.array([1.0, -2.0 * decay, decay**2])
    envelope = lfilter([(1.0 - decay) ** 2], pole, np.abs(samples / np.sqrt(unit)))
    held = _held_maximum(envelope, int(np.ceil(HANGOVER * sample_rate)) + 1)
    return unit * _level(held, power / unit)


def _level(envelope: NDArray[np.float64], power: float) -> float:
    """The active level of a signal of that mean power from its held envelope (T,)."""
    fractions, exponents = np.frexp(envelope**2)  # = fraction in [0.5, 1) x 2^exponent
    exponents = np.where(fractions > 0.0, exponents, -1100)  # frexp(0) has exponent 0
    peak = int(exponents.max())
    bins = np.minimum(peak - exponents, BINS - 1)
    active = np.cumsum(np.bincount(bins, minlength=BINS))  # samples in this bin or a louder one
    levels = 10.0 * np.log10(power * len(envelope) / active)
    limits = 10.0 * np.log10(2.0) * (peak - 1 - np.arange(BINS))
    excess = levels - limits - MARGIN
    crossing = np.flatnonzero((excess[:-1] < 0) & (excess[1:] >= 0))
    if len(crossing):
        j = int(crossing[0])
        fraction = excess[j] / (excess[j] - excess[j + 1])
        decibels = levels[j] + fraction * (levels[j + 1] - levels[j])
    else:
        decibels = levels[-1] if excess[-1] <= 0 else levels[0]
    return float(10.0 ** (decibels / 10.0))


def _held_maximum(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Each value replaced by the maximum of itself and the length - 1 values before it, (T,)."""
    from scipy.ndimage import maximum_filter1d

    # A centred window, moved back by half its length, covers the past only.
    held: NDArray[np.float64] = maximum_filter1d(
        values, length, mode="constant", cval=0.0, origin=(length - 1) // 2
    )
    return held


@lru_cache(maxsize=8)
def _band_filters(sample_rate: int) -> tuple[Filter, ...]:
    """High-pass at 200 Hz, and low-pass at 5.5 kHz where the rate leaves room for it."""
    zeros, poles = _prototype()
    low = np.tan(np.pi * HIGH_PASS / sample_rate)
    filters = [_bilinear(zeros * low, poles * low, unit_gain_at=-1.0)]
    if sample_rate >= LOW_PASS_FROM:
        high = np.tan(np.pi * LOW_PASS / sample_rate)
        # The mirror image: s -> 1 / s. The prototype's zero at s = 0 goes to infinity, z = -1.
        finite = high / zeros[zeros != 0]
        filters.append(_bilinear(finite, high / poles, unit_gain_at=1.0))
    return tuple(filters)


def _prototype() -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Zeros and poles of the analogue high-pass: Chebyshev II, order 5, 0.25 dB down at 1 rad/s."""
    from scipy.signal import cheb2ap

    zeros, poles, _ = cheb2ap(5, 50.0)  # low-pass, stop band (50 dB) from 1 rad/s
    epsilon = 1.0 / np.sqrt(10.0**5.0 - 1.0)
    edge = np.cosh(np.arccosh(1.0 / (epsilon * np.sqrt(10.0**0.025 - 1.0))) / 5.0)
    # Low-pass with -0.25 dB at 1 rad/s has its stop band from `edge`; s -> 1 / s turns it round.
    return np.append(1.0 / (zeros * edge), 0.0), 1.0 / (poles * edge)


def _bilinear(
    zeros: NDArray[np.complex128], poles: NDArray[np.complex128], *, unit_gain_at: float
) -> Filter:
    """Digital filter with the analogue zeros and poles (in units of 2 / sample time)."""
    digital_zeros = (1.0 + zeros) / (1.0 - zeros)
    digital_poles = (1.0 + poles) / (1.0 - poles)
    missing = len(digital_poles) - len(digital_zeros)
    digital_zeros = np.append(digital_zeros, -np.ones(missing))
    numerator = np.real(np.poly(digital_zeros))
    denominator = np.real(np.poly(digital_poles))
    gain = np.polyval(denominator, unit_gain_at) / np.polyval(numerator, unit_gain_at)
    return numerator * gain, denominator
