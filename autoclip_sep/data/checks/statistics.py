"""Statistics of every signal in a store: computed once, kept beside the samples in check.npy.

Everything is read from the store, not from the corpus' files: a store of any age can be checked,
and what is checked is what training reads. It is read in blocks: however long a mixture is, a
worker's memory stays the same.
"""

import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.conversion import save_array
from autoclip_sep.data.store.reading import LSB, MIXTURE, Store, scale_of
from autoclip_sep.errors import InputError
from autoclip_sep.locks import exclusive
from autoclip_sep.parallel import in_parallel, release

NAME = "check.npy"  # where a column gets another meaning, the file must get another name
FAINT = 1e-3  # of full scale, -60 dBFS: a signal that stays below counts as silent
FULL = 1.0 - 2.0 * LSB  # full scale, to 2 LSB
BLOCK = soundfiles.BLOCK  # samples per channel that are in memory at a time
SMALL = 2**26  # bytes: a smaller store is read before other processes have started
RUN = 3  # equal samples in a row at full scale or beyond are a clipped peak
COLUMNS = np.dtype(
    [
        ("digest", np.uint64),  # of the signal without the zeros around it; 0 if faint
        ("peak", np.float32),  # full scale is 1
        ("dc", np.float32),  # absolute mean of the channel with the largest one
        ("clipped", np.int64),  # samples in runs of `RUN` or more
        ("distance", np.float32),  # of a mixture from the sum of its signals, where not clipped
    ]
)
Rows = NDArray[np.void]
Task = tuple[int, int, int]  # offset of the signals in samples.bin, their length, mixture's offset


def signal_statistics(store: Store, *, progress: bool = True) -> Rows:
    """(mixtures, signals + 1): a mixture's signals in the store's order, then itself; see COLUMNS.

    Computed on the first call. The mixture is the corpus' own where the store holds it, else the
    sum, which is then within 2 LSB and has distance 0. Raises InputError for non-finite samples.
    """
    signals, _ = _by_item(store)
    shape = (len(signals), signals.shape[1] + 1)
    found = _read(store.folder / NAME, shape)
    if found is not None:
        return found
    with exclusive(store.folder):
        found = _read(store.folder / NAME, shape)
        if found is None:
            found = _compute(store, progress)
            with suppress(OSError):  # on a read-only disk the next call takes as long
                save_array(store.folder / NAME, found)
    return found


def _read(path: Path, shape: tuple[int, int]) -> Rows | None:
    """Statistics computed before, if they are whole and fit the store."""
    try:
        found: Rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == COLUMNS else None


def _compute(store: Store, progress: bool) -> Rows:
    signals, mixtures = _by_item(store)
    first = signals[:, 0]
    tasks = list(zip(first["offset"].tolist(), first["length"].tolist(), mixtures, strict=True))
    shape = (signals.shape[1], int(first["channels"][0]))
    samples = store.folder / "samples.bin"
    jobs = 1 if samples.stat().st_size < SMALL else None
    work = partial(describe, samples, store.dtype, shape)
    rows = in_parallel(work, tasks, label="check", jobs=jobs, progress=progress)
    release()
    found = np.array(rows, dtype=COLUMNS)
    bad = np.flatnonzero(~np.isfinite(found["peak"]).all(axis=1))
    if len(bad):
        names = [name for items in store.items.values() for name in items]
        raise InputError(
            f"{store.folder}: non-finite samples in {len(bad)} mixtures, such as {names[bad[0]]};"
            " delete the folder, it is made again"
        )
    return found


def _by_item(store: Store) -> tuple[Rows, list[int]]:
    """The index's rows (mixtures, signals), and each mixture's offset, -1 if it isn't stored."""
    own = store.index["signal"] == MIXTURE
    signals = store.index[~own]
    signals = signals.reshape(len(np.unique(signals["item"])), -1)
    offsets = dict(zip(store.index[own]["item"], store.index[own]["offset"], strict=True))
    return signals, [int(offsets.get(number, -1)) for number in range(len(signals))]


def describe(
    samples: Path, dtype: str, shape: tuple[int, int], task: Task
) -> list[tuple[int, float, float, int, float]]:
    """One mixture's rows (task). shape: how many signals, and channels."""
    offset, length, own = task
    scale = scale_of(dtype)
    offsets = [offset + number * length * shape[1] for number in range(shape[0])]
    statistics = [_Statistics(scale) for _ in range(shape[0] + 1)]
    distance = 0.0
    # Not by a memory map: its pages would count as this process' memory, however long the mixture.
    with open(samples, "rb") as file, np.errstate(invalid="ignore"):
        read = partial(_read_frames, file, np.dtype(dtype), shape[1])
        for start in range(0, length, BLOCK):
            stop = min(start + BLOCK, length)
            # With what a run of clipped samples across the border needs, on both sides.
            begin, end = max(start - RUN + 1, 0), min(stop + RUN - 1, length)
            signals = np.stack([read(place, begin, end) for place in offsets])
            # A non-finite sample shows in the peak.
            mixture = signals.sum(axis=0, dtype=np.int32 if dtype == "int16" else np.float32)
            if own >= 0:
                total, mixture = mixture, read(own, begin, end)
                distance = max(distance, _distance(mixture, total, FULL / scale))
            for one, signal in zip(statistics, [*signals, mixture], strict=True):
                one.add(signal, start - begin, stop - begin)
    *rows, (_, peak, dc, clipped, _) = (one.row(length) for one in statistics)
    return [*rows, (0, peak, dc, clipped, distance * scale)]


def _read_frames(
    file: BinaryIO, dtype: np.dtype[Any], channels: int, offset: int, start: int, stop: int
) -> NDArray[Any]:
    """Samples (stop - start, C) of the signal that begins at `offset`, as stored."""
    file.seek((offset + start * channels) * dtype.itemsize)
    return np.fromfile(file, dtype, (stop - start) * channels).reshape(-1, channels)


def _distance(mixture: NDArray[Any], total: NDArray[Any], full: float) -> float:
    """The largest between a mixture (T, C) and the sum of its signals, where it isn't clipped."""
    distance = np.abs(mixture - total, dtype=np.float32)
    distance[np.abs(mixture, dtype=np.float32) >= full] = 0.0
    return float(distance.max())


class _Statistics:
    """Of one signal, which comes block by block at the store's own scale."""

    def __init__(self, scale: float) -> None:
        self.scale, self.peak, self.clipped = scale, 0.0, 0
        self.sum: NDArray[np.float64] | float = 0.0
        # Of all from the first sample that isn't zero on, and of all up to the last such sample.
        self.hash = hashlib.blake2b(digest_size=8)
        self.trimmed: hashlib.blake2b | None = None

    def add(self, signal: NDArray[Any], start: int, stop: int) -> None:
        """Samples start to stop of (T, C) are the next block; those around it are neighbours."""
        block = signal[start:stop]
        peak = max(float(block.max()), -float(block.min()))
        self.peak = float(np.maximum(self.peak, peak))  # stays NaN
        self.sum = self.sum + block.sum(axis=0, dtype=np.float64)
        if peak * self.scale >= FULL:
            self.clipped += _clipped(signal, FULL / self.scale, start, stop)
        nonzero = np.flatnonzero((block != 0).any(axis=1))
        if len(nonzero):
            first, end = 0 if self.trimmed else nonzero[0], nonzero[-1] + 1
            self.hash.update(block[first:end].data)
            self.trimmed = self.hash.copy()
            block = block[end:]
        if self.trimmed:
            self.hash.update(block.data)

    def row(self, length: int) -> tuple[int, float, float, int, float]:
        """The values of COLUMNS; distance is 0."""
        peak, dc = self.peak * self.scale, float(np.abs(self.sum / length).max()) * self.scale
        digest = self.trimmed.digest() if self.trimmed and not peak < FAINT else b"\0"
        return int.from_bytes(digest), peak, dc, self.clipped, 0.0


def _clipped(signal: NDArray[Any], full: float, start: int, stop: int) -> int:
    """Samples start to stop of a signal (T, C) in runs of equal ones that reach full scale."""
    equal = signal[1:] == signal[:-1]
    equal &= (signal[1:] >= full) | (signal[1:] <= -full)
    inner = equal[1:] & equal[:-1]  # begins RUN equal samples
    inside = np.zeros(signal.shape, dtype=bool)
    for shift in range(RUN):
        inside[shift : len(inner) + shift] |= inner
    return int(inside[start:stop].sum())
