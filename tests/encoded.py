"""Sounds written with PyAV's own encoders, into whatever its wheel can write."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest


def encode(
    path: Path, samples: np.ndarray, rate: int, codec: str, bit_rate: int = 128_000, **options: str
) -> Path:
    """Samples (C, T), one or two channels, as one stream; options: the container's."""
    av = pytest.importorskip("av")
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = bit_rate
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for part in av.AudioResampler(format=stream.format, layout=layout).resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def hum(length: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Samples (C, length) of low noise, of which no two stretches are alike and coders keep all."""
    noise = np.random.default_rng(seed).standard_normal((channels, length + 49))
    return np.stack([np.convolve(part, np.hanning(50) / 50, "valid") for part in noise])
