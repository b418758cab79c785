"""What the sounds of a store are like: measured once, kept beside them in check.npy.

Everything is read from the store, not from the corpus' files: a store of any age can be measured,
and what is measured is what training reads.
"""

import hashlib
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.data.locks import exclusive
from autoclip_sep.data.parallel import in_parallel, release
from autoclip_sep.data.store import LSB, MIXTURE, Store
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole

NAME = "check.npy"  # where a column gets another meaning, the file must get another name
FAINT = 1e-3  # of full scale, -60 dB: a sound that stays below is as good as silent
FULL = 1.0 - 2.0 * LSB  # full scale, to 2 LSB
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
    place = partial(np.memmap, samples, dtype, "r")
    size = np.dtype(dtype).itemsize
    signals = np.asarray(place(offset * size, (shape[0], length, shape[1])))
    scale = LSB if dtype == "int16" else 1.0
    with np.errstate(invalid="ignore"):  # what isn't finite shows in the peak
        total = signals.sum(axis=0, dtype=np.int32 if dtype == "int16" else np.float32)
        rows = [(_digest(signal, scale), *_level(signal, scale), 0.0) for signal in signals]
        if own < 0:
            return [*rows, (0, *_level(total, scale), 0.0)]
        mixture = np.asarray(place(own * size, total.shape))
        distance = np.abs(mixture - total, dtype=np.float32)
        distance[np.abs(mixture, dtype=np.float32) >= FULL / scale] = 0.0
        return [*rows, (0, *_level(mixture, scale), float(distance.max()) * scale)]


def _level(sound: NDArray[Any], scale: float) -> tuple[float, float, int]:
    """Peak, offset and clipped samples of a sound (T, C)."""
    peak = max(float(sound.max()), -float(sound.min())) * scale
    dc = float(np.abs(sound.mean(axis=0, dtype=np.float64)).max()) * scale
    return peak, dc, _clipped(sound, FULL / scale) if peak >= FULL else 0


def _clipped(sound: NDArray[Any], full: float) -> int:
    """Samples of a sound (T, C) in runs of equal ones that reach full scale."""
    equal = sound[1:] == sound[:-1]
    equal &= (sound[1:] >= full) | (sound[1:] <= -full)
    inner = equal[1:] & equal[:-1]  # begins RUN equal samples
    inside = np.zeros(sound.shape, dtype=bool)
    for shift in range(RUN):
        inside[shift : len(inner) + shift] |= inner
    return int(inside.sum())


def _digest(sound: NDArray[Any], scale: float) -> int:
    """Of a sound (T, C) without the zeros before and behind it."""
    if max(float(sound.max()), -float(sound.min())) * scale < FAINT:
        return 0
    sounding: NDArray[np.bool_] = (sound != 0).any(axis=1)
    start, stop = int(sounding.argmax()), len(sound) - int(sounding[::-1].argmax())
    content = np.ascontiguousarray(sound[start:stop]).reshape(-1)
    return int.from_bytes(hashlib.blake2b(content.data, digest_size=8).digest())
