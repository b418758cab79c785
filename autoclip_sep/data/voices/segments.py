"""Utterances of some seconds out of short recordings: silence trimmed, successive ones joined."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

FRAME = 0.02  # seconds
QUIET = 35  # dB below the loudest frame: silence at the ends
SHORTEST = 0.4  # seconds of a recording that is used
LONG_ENOUGH = 4.0  # seconds of an utterance; WSJ0-2mix's segments have as many
GAP = 0.2  # seconds between recordings
PEAK = 0.9
SILENT = 1e-9  # of full scale squared, -90 dB: quieter is what rounding leaves of silence


def trimmed(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """The samples (T,) without the silence at both ends, without offset; empty where all is."""
    samples = samples - samples.mean() if len(samples) else samples
    size = round(FRAME * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.square(frames).mean(axis=1)
    if not (power > SILENT).any():
        return samples[:0]
    loud = np.flatnonzero(power > power.max() * 10 ** (-QUIET / 10))
    return samples[loud[0] * size : (loud[-1] + 1) * size]


def joined(recordings: Iterable[NDArray[np.float64]], rate: int) -> Iterator[NDArray[np.float64]]:
    """Utterances (T,) of `LONG_ENOUGH` or more, each recording at the same peak.

    What is left over at the end and shorter is dropped. The recordings are of one voice, trimmed.
    """
    pause = np.zeros(round(GAP * rate))
    parts: list[NDArray[np.float64]] = []
    length = 0
    for recording in recordings:
        if len(recording) < SHORTEST * rate:
            continue
        if parts:
            parts.append(pause)
        parts.append(recording * (PEAK / np.abs(recording).max()))
        length = sum(map(len, parts))
        if length >= LONG_ENOUGH * rate:
            yield np.concatenate(parts)
            parts = []
