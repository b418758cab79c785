"""What the sounds of a store are like: measured once, kept beside them in check.npy.

Everything is read from the store, not from the corpus' files: a store of any age can be measured,
and what is measured is what training reads. It is read in blocks: however long a mixture is, a
worker's memory stays the same.
"""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.reading import LSB, MIXTURE, Store, scale_of
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.locks import exclusive
from autoclip_sep.parallel import in_parallel, release

NAME = "check.npy"  # where a column gets another meaning, the file must get another name
FAINT = 1e-3  # of full scale, -60 dB: a sound that stays below is as good as silent
FULL = 1.0 - 2.0 * LSB  # full scale, to 2 LSB
BLOCK = soundfiles.BLOCK  # samples per channel that are looked at together
SMALL = 2**26  # bytes that one process has measured before others have started
RUN = 3  # equal samples in a row at full scale or beyond are a clipped peak
COLUMNS = np.dtype(
    [
        ("digest", np.uint64),  # of the sound without the silence around it; 0: too faint to tell
        ("peak", np.float32),  # full scale is 1
        ("dc", np.float32),  # mean of the channel that is furthest from zero
        ("clipped", np.int64),  # samples in runs of `RUN` or more
        ("distance", np.float32),  # from the sum of the signals; not where the mixture was clipped
    ]
)
Rows = NDArray[np.void]
Task = tuple[int, int, int]  # where signals begin in samples.bin, their length, where the mixture


def measures(store: Store, *, progress: bool = True) -> Rows:
    """(mixtures, signals + 1): a mixture's signals in the store's order, then itself; see COLUMNS.

    Made on the first call. The mixture is the corpus' own where the store holds it, else the sum,
    which is then within 2 LSB and has distance 0. Raises InputError for samples that aren't finite.
    """
    signals, _ = _by_item(store)
    shape = (len(signals), signals.shape[1] + 1)
    found = _read(store.folder / NAME, shape)
    if found is not None:
        return found
    with exclusive(store.folder):
        found = _read(store.folder / NAME, shape)
        if found is None:
            found = _measure(store, progress)
            file = io.BytesIO()
            np.save(file, found)
            with suppress(OSError):  # on a read-only disk the next look takes as long
                write_whole(store.folder / NAME, file.getvalue())
    return found


def _read(path: Path, shape: tuple[int, int]) -> Rows | None:
    """What was measured before, if it fits the store and is whole."""
    try:
        found: Rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == COLUMNS else None


def _measure(store: Store, progress: bool) -> Rows:
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
        names = [name for split in store.splits for name in store.split(split).items]
        raise InputError(
            f"{store.folder}: samples of {len(bad)} mixtures, such as {names[bad[0]]}, are no"
            " numbers; delete the folder, it is made again"
        )
    return found


def _by_item(store: Store) -> tuple[Rows, list[int]]:
    """The index's rows (mixtures, signals), and where each mixture is stored, -1 if it isn't."""
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
    size = length * shape[1]
    places = [offset + number * size for number in range(shape[0])]
    levels = [_Level(scale) for _ in range(shape[0] + 1)]
    distance = 0.0
    # Not by a memory map: its pages would count as this process' memory, however long the mixture.
    with open(samples, "rb") as file, np.errstate(invalid="ignore"):
        read = partial(_read_frames, file, np.dtype(dtype), shape[1])
        for start in range(0, length, BLOCK):
            stop = min(start + BLOCK, length)
            # With what a run of clipped samples across the border needs, on both sides.
            begin, end = max(start - RUN + 1, 0), min(stop + RUN - 1, length)
            signals = np.stack([read(place, begin, end) for place in places])
            # What isn't finite shows in the peak.
            mixture = signals.sum(axis=0, dtype=np.int32 if dtype == "int16" else np.float32)
            if own >= 0:
                total, mixture = mixture, read(own, begin, end)
                distance = max(distance, _distance(mixture, total, FULL / scale))
            for level, sound in zip(levels, [*signals, mixture], strict=True):
                level.add(sound, start - begin, stop - begin, start)
        digests = [
            _digest(partial(read, place), level)
            for place, level in zip(places, levels, strict=False)
        ]
    rows = [(level.peak * scale, level.dc(length) * scale, level.clipped) for level in levels]
    off = [0.0] * len(places) + [distance * scale]
    return [(d, *row, far) for d, row, far in zip([*digests, 0], rows, off, strict=True)]


def _read_frames(
    file: BinaryIO, dtype: np.dtype[Any], channels: int, place: int, start: int, stop: int
) -> NDArray[Any]:
    """Samples (stop - start, C) of the signal that begins at `place`, as stored."""
    file.seek((place + start * channels) * dtype.itemsize)
    return np.fromfile(file, dtype, (stop - start) * channels).reshape(-1, channels)


def _distance(mixture: NDArray[Any], total: NDArray[Any], full: float) -> float:
    """The largest between a mixture (T, C) and the sum of its signals, where it isn't clipped."""
    distance = np.abs(mixture - total, dtype=np.float32)
    distance[np.abs(mixture, dtype=np.float32) >= full] = 0.0
    return float(distance.max())


class _Level:
    """What is known of a sound whose blocks come one after the other, in its own scale.

    span: its first sample that isn't zero, and the one behind the last such.
    """

    def __init__(self, scale: float) -> None:
        self.scale, self.peak, self.clipped = scale, 0.0, 0
        self.sum: NDArray[np.float64] | float = 0.0
        self.span: tuple[int, int] | None = None

    def add(self, sound: NDArray[Any], start: int, stop: int, position: int) -> None:
        """Samples start to stop of (T, C), which begin at `position`; the others are neighbours."""
        block = sound[start:stop]
        peak = max(float(block.max()), -float(block.min()))
        self.peak = float(np.maximum(self.peak, peak))  # stays NaN
        self.sum = self.sum + block.sum(axis=0, dtype=np.float64)
        if peak * self.scale >= FULL:
            self.clipped += _clipped(sound, FULL / self.scale, start, stop)
        sounding: NDArray[np.bool_] = (block != 0).any(axis=1)
        if sounding.any():
            first = position + int(sounding.argmax())
            last = position + len(block) - int(sounding[::-1].argmax())
            self.span = (self.span[0] if self.span else first, last)

    def dc(self, length: int) -> float:
        """The mean of the channel that is furthest from zero."""
        return float(np.abs(self.sum / length).max())


def _clipped(sound: NDArray[Any], full: float, start: int, stop: int) -> int:
    """Samples start to stop of a sound (T, C) in runs of equal ones that reach full scale."""
    equal = sound[1:] == sound[:-1]
    equal &= (sound[1:] >= full) | (sound[1:] <= -full)
    inner = equal[1:] & equal[:-1]  # begins RUN equal samples
    inside = np.zeros(sound.shape, dtype=bool)
    for shift in range(RUN):
        inside[shift : len(inner) + shift] |= inner
    return int(inside[start:stop].sum())


def _digest(read: Callable[[int, int], NDArray[Any]], level: _Level) -> int:
    """Of a sound without the zeros before and behind it. read: gives its samples."""
    if level.peak * level.scale < FAINT or level.span is None:
        return 0
    digest = hashlib.blake2b(digest_size=8)
    begin, end = level.span
    for start in range(begin, end, BLOCK):
        digest.update(read(start, min(start + BLOCK, end)).data)
    return int.from_bytes(digest.digest())
