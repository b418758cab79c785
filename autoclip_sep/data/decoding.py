"""One item of a corpus into the store: its shape, its samples, its mixture. What workers run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep import audio, stems
from autoclip_sep.data import fingerprints
from autoclip_sep.data.store import Item
from autoclip_sep.errors import InputError

TOLERANCE = 2.0 * 2.0**-15  # 2 LSB of 16 bits: what rounding mixture and signals can add up to
SIXTEEN_BITS = {"PCM_16", "PCM_S8", "PCM_U8"}  # libsndfile's names of what int16 holds exactly


@dataclass(frozen=True)
class Layout:
    """One item's shape and place. offset: in samples.bin, in samples."""

    item: Item
    length: int
    channels: int
    sixteen_bits: bool
    offset: int = 0

    @property
    def size(self) -> int:
        """Of each of its signals, and of its mixture, in samples of all channels."""
        return self.length * self.channels

    @property
    def values(self) -> int:
        return len(self.item.signals) * self.size


def measure(item: Item, sample_rate: int) -> Layout:
    """The item's shape from its files' headers; lossy stems have to be decoded for it (task)."""
    headers = {path: _info(path, streams) for path, streams in item.streams.items()}
    for path, header in headers.items():
        if header.sample_rate != sample_rate:
            raise InputError(f"{path}: {header.sample_rate} Hz, the corpus has {sample_rate} Hz")
    shapes = {(header.frames, header.channels) for header in headers.values()}
    if len(shapes) > 1:
        folder = os.path.commonpath([os.path.dirname(path) for path in headers])
        parts = ", ".join(
            f"{os.path.relpath(path, folder)} {header.frames} x {header.channels}"
            for path, header in headers.items()
        )
        raise InputError(f"{item.name}: signals of unequal length or channels: {parts}")
    exact = all(header.subtype in SIXTEEN_BITS for header in headers.values())
    ((length, channels),) = shapes
    return Layout(item, length, channels, exact)


def decode(
    samples: Path, dtype: str, tolerance: float | None, layout: Layout
) -> tuple[dict[str, str], bool]:
    """Write the item's signals into samples.bin (task).

    Returns the digest of each file, and whether the mixture's file differs from their sum.
    """
    item = layout.item
    block = _place(
        samples, dtype, layout.offset, (len(item.signals), layout.length, layout.channels)
    )
    total = np.zeros(block.shape[1:])
    scale = 2.0**-15 if dtype == "int16" else 1.0
    for row, signal in zip(block, item.signals, strict=True):
        row[:] = _read(signal.path, signal.stream, layout.length, dtype)
        total += row * scale
    del block  # written to the file here
    digests = {os.path.abspath(path): fingerprints.digest(path) for path in item.streams}
    if item.mixture is None:
        return digests, False
    mixture = _read(item.mixture, item.mixture_stream, layout.length, "float64")
    distance = np.abs(mixture - total)
    if tolerance is not None:
        _check_sum(item, mixture, distance, tolerance)
    return digests, bool(distance.max(initial=0.0) > TOLERANCE)


def decode_mixture(samples: Path, dtype: str, task: tuple[Layout, int]) -> None:
    """Write the mixture of an item to its offset in samples.bin (task)."""
    layout, offset = task
    assert layout.item.mixture is not None
    block = _place(samples, dtype, offset, (layout.length, layout.channels))
    block[:] = _read(layout.item.mixture, layout.item.mixture_stream, layout.length, dtype)


def _place(samples: Path, dtype: str, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.memmap(samples, dtype, "r+", offset * np.dtype(dtype).itemsize, shape)


def _info(path: str | Path, streams: Sequence[int | None]) -> audio.AudioInfo:
    numbers = [stream for stream in streams if stream is not None]
    return stems.info(path, numbers) if numbers else audio.info(path)


def _read(path: str | Path, stream: int | None, frames: int, dtype: str) -> NDArray[Any]:
    """Samples (T, C) of a file, or of one of its streams."""
    if stream is None:
        return audio.read(path, dtype=dtype)[0].T
    return stems.read(path, stream, frames=frames, dtype=dtype)[0].T


def _check_sum(
    item: Item, mixture: NDArray[np.float64], distance: NDArray[np.float64], tolerance: float
) -> None:
    """Refuse a mixture (T, C) that isn't the sum of its signals."""
    # A sample at full scale was clipped when it was written, and says nothing about the sum.
    clipped = np.abs(mixture) >= 1.0 - TOLERANCE
    beyond = np.where(clipped, 0.0, distance).max(axis=1, initial=0.0)
    if beyond.max(initial=0.0) > tolerance:
        parts = ", ".join(str(signal.path) for signal in item.signals)
        raise InputError(
            f"{item.mixture}: not the sum of {parts}: off by up to {beyond.max():.3g} (sample"
            f" {int(beyond.argmax())}), {tolerance:.2g} is allowed; is a signal left out?"
        )
