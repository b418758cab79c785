"""Decode one item of a corpus into the store: its shape, its signals, its mixture. Run by workers.

Files are read in blocks: however long they are, a worker's memory stays the same.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles, stems
from autoclip_sep.data.store import fingerprints
from autoclip_sep.data.store.reading import LSB, Item, scale_of
from autoclip_sep.errors import InputError

TOLERANCE = 2.0 * LSB  # 2 LSB of 16 bits: what rounding mixture and signals can add up to
BLOCK = soundfiles.BLOCK  # samples per channel
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
    exact = item.sixteen_bits or all(header.subtype in SIXTEEN_BITS for header in headers.values())
    ((length, channels),) = shapes
    return Layout(item, length, channels, exact)


def decode(
    samples: Path, dtype: str, tolerance: float | None, layout: Layout
) -> tuple[dict[str, str], bool]:
    """Write the item's signals into samples.bin (task).

    Returns the digest of each file, and whether the mixture's file differs from their sum.
    """
    item = layout.item
    for number, signal in enumerate(item.signals):
        offset = layout.offset + number * layout.size
        _write(samples, dtype, offset, layout, signal.path, signal.stream)
    digests = {os.path.abspath(path): fingerprints.digest(path) for path in item.streams}
    if item.mixture is None:
        return digests, False
    largest, beyond, sample = _distance(samples, dtype, layout)
    if tolerance is not None and beyond > tolerance:
        parts = ", ".join(str(signal.path) for signal in item.signals)
        raise InputError(
            f"{item.mixture}: not the sum of {parts}: off by up to {beyond:.3g} (sample {sample}),"
            f" {tolerance:.2g} is allowed; is a signal left out?"
        )
    return digests, largest > TOLERANCE


def decode_mixture(samples: Path, dtype: str, task: tuple[Layout, int]) -> None:
    """Write the mixture of an item to its offset in samples.bin (task)."""
    layout, offset = task
    assert layout.item.mixture is not None
    _write(samples, dtype, offset, layout, layout.item.mixture, layout.item.mixture_stream)


def _distance(samples: Path, dtype: str, layout: Layout) -> tuple[float, float, int]:
    """How far the file of an item's mixture is from the sum of its signals in samples.bin.

    The largest distance (full scale is 1), the largest where the mixture isn't clipped, and the
    sample where that is first.
    """
    item, scale = layout.item, scale_of(dtype)
    assert item.mixture is not None
    largest, beyond, sample, start = 0.0, 0.0, 0, 0
    for mixture in _blocks(layout, item.mixture, item.mixture_stream, "float64"):
        total = np.zeros(mixture.shape)
        for number in range(len(item.signals)):
            offset = layout.offset + number * layout.size + start * layout.channels
            signal = np.fromfile(
                samples, dtype, mixture.size, offset=offset * np.dtype(dtype).itemsize
            )
            total += signal.reshape(mixture.shape) * scale
        distance = np.abs(mixture - total)
        largest = max(largest, float(distance.max()))
        # A sample at full scale was clipped when it was written: it needn't be the sum.
        distance[np.abs(mixture) >= 1.0 - TOLERANCE] = 0.0
        if distance.max() > beyond:
            beyond = float(distance.max())
            sample = start + int(distance.max(axis=1).argmax())
        start += len(mixture)
    return largest, beyond, sample


def _write(
    samples: Path, dtype: str, offset: int, layout: Layout, path: str | Path, stream: int | None
) -> None:
    """One signal into samples.bin, from `offset` (in samples) on."""
    # Not by a memory map: its pages would count as this process' memory, however long the file.
    with open(samples, "r+b") as file:
        file.seek(offset * np.dtype(dtype).itemsize)
        for block in _blocks(layout, path, stream, dtype):
            file.write(np.ascontiguousarray(block).data)


def _blocks(
    layout: Layout, path: str | Path, stream: int | None, dtype: str
) -> Iterator[NDArray[Any]]:
    """Samples (n, C) of a file, or of one of its streams, as many as the item has."""
    if stream is None:
        found = soundfiles.blocks(path, BLOCK, dtype=dtype)
    else:
        found = stems.blocks(path, stream, frames=layout.length, size=BLOCK, dtype=dtype)
    left = layout.size
    for block in found:
        left -= block.size
        if left < 0:
            break
        yield block.T
    if left != 0:  # what follows in samples.bin is another signal's
        raise InputError(f"{path}: changed while it was read; run the same command again")


def _info(path: str | Path, streams: Sequence[int | None]) -> soundfiles.AudioInfo:
    numbers = [stream for stream in streams if stream is not None]
    return stems.info(path, numbers) if numbers else soundfiles.info(path)
