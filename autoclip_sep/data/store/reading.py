"""A corpus decoded once: `<folder>/{samples.bin, index.npy, crc32.npy, meta.json, files.json}`.

samples.bin holds, for each mixture, its signals one after the other, each (T, C) interleaved, all
int16 or all float32. index.npy holds where each begins. A segment is then one slice of a memory
map, and a mixture is the sum of its signals. A mixture file is stored as well only where that sum
differs from it by more than 2 LSB (lossy stems, for example). crc32.npy holds a checksum for each
64 KiB of samples.bin, checked once by each process that reads them; older stores have none.
meta.json carries the fingerprint
of the files the store was made from, and one checksum for itself and index.npy; files.json their
sizes and times, for a fast second look.
"""

import io
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep.data.store.samples import CHUNK, MappedSamples, Samples
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown

VERSION = 1
LSB = 2.0**-15  # the last of 16 bits, where full scale is 1
MIXTURE = -1  # in the index's `signal` column: the corpus' own mixture
INDEX = np.dtype(
    [
        ("item", np.int32),
        ("signal", np.int16),
        ("target", np.bool_),
        ("offset", np.int64),  # in samples.bin, counted in samples
        ("length", np.int64),  # T
        ("channels", np.int16),
    ]
)


@dataclass(frozen=True)
class Signal:
    """One signal of a mixture; target=False for what is in it but not to be estimated.

    stream: number of the audio stream, from 0, in a file that holds several (.stem.mp4).
    """

    path: str | Path
    target: bool = True
    stream: int | None = None


@dataclass(frozen=True)
class Item:
    """One mixture of a corpus: the signals that add up to it, and its own file if there is one.

    name: for tables and messages, with unprintable characters escaped. mixture_stream: as
    `Signal.stream`. sixteen_bits: whether files of more bits are read as 16.
    """

    name: str
    split: str
    signals: tuple[Signal, ...]
    mixture: str | Path | None = None
    mixture_stream: int | None = None
    sixteen_bits: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", shown(self.name))

    @property
    def streams(self) -> dict[str | Path, list[int | None]]:
        """The files, that of the mixture last, with the streams that are read from each."""
        found: dict[str | Path, list[int | None]] = {}
        for signal in self.signals:
            found.setdefault(signal.path, []).append(signal.stream)
        if self.mixture is not None:
            found.setdefault(self.mixture, []).append(self.mixture_stream)
        return found


class Split:
    """The mixtures of one split.

    items: their names. lengths: (items,) int64, samples. sources, channels: S and C. folder: the
    store's. dtype: int16 or float32, as stored.
    """

    def __init__(self, store: "Store", name: str) -> None:
        first = sum(len(items) for items in list(store.items.values())[: store.splits.index(name)])
        self.items = store.items[name]
        index = store.index
        own = index[(index["item"] >= first) & (index["item"] < first + len(self.items))]
        signals = own[own["signal"] != MIXTURE]
        leading = signals[signals["signal"] == 0]
        self.folder, self.dtype = store.folder, np.dtype(store.dtype)
        self.lengths: NDArray[np.int64] = leading["length"].copy()
        self.channels = int(leading["channels"][0])
        self.targets: NDArray[np.bool_] = signals["target"][signals["item"] == first]
        self.sources = int(self.targets.sum())
        self._offsets: NDArray[np.int64] = leading["offset"].copy()
        mixtures = own[own["signal"] == MIXTURE]
        numbers = (mixtures["item"] - first).tolist()
        self._mixtures = dict(zip(numbers, mixtures["offset"].tolist(), strict=True))
        self._samples = store.samples()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def scale(self) -> float:
        """What a stored sample is multiplied by to lie in [-1, 1]."""
        return scale_of(self.dtype)

    def signals(self, i: int, start: int = 0, frames: int | None = None) -> NDArray[Any]:
        """All signals of mixture i, targets and others, as stored: a view (signals, C, T)."""
        length = int(self.lengths[i])
        stop = length if frames is None else start + frames
        if not 0 <= start <= stop <= length:
            raise IndexError(f"samples {start} to {stop} of {self.items[i]}, which has {length}")
        block = self._block(i, int(self._offsets[i]), len(self.targets), start, stop)
        return block.transpose(0, 2, 1)

    def load(
        self, i: int, start: int = 0, frames: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mixture (C, T) and targets (S, C, T) of mixture i, float32 numpy arrays.

        The mixture is the corpus' own where it was stored, else the sum of its signals.
        """
        signals = self.signals(i, start, frames).astype(np.float32)
        signals *= np.float32(self.scale)
        if i not in self._mixtures:
            return signals.sum(axis=0), signals[self.targets]
        block = self._block(i, self._mixtures[i], 1, start, start + signals.shape[-1])
        mixture = block[0].T.astype(np.float32)
        return mixture * np.float32(self.scale), signals[self.targets]

    @property
    def far(self) -> bool:
        """Whether `fetch` does anything: in every other case what asks for it may be left out."""
        return self._samples.far

    def fetch(
        self, items: NDArray[np.int64], starts: NDArray[np.int64], frames: NDArray[np.int64],
        wait: bool = True,
    ) -> None:  # fmt: skip
        """Get parts of mixtures near, all at the same time, where the store is far away.

        items, starts, frames: (parts,). wait: until they are there, or an error says why not.
        """
        if not self.far:
            return
        ranges = []
        for i, start, count in zip(items.tolist(), starts.tolist(), frames.tolist(), strict=True):
            size = int(self.lengths[i]) * self.channels
            first = int(self._offsets[i]) + start * self.channels
            for own in range(first, first + len(self.targets) * size, size):
                ranges.append((own, own + count * self.channels))
        self._samples.fetch(ranges, wait)

    def _block(self, i: int, offset: int, signals: int, start: int, stop: int) -> NDArray[Any]:
        """Samples start to stop of signals that lie one after the other: (signals, T, C)."""
        shape = (signals, int(self.lengths[i]), self.channels)
        return self._samples.block(offset, shape, start, stop, self.items[i])


class Store:
    """An opened store. Raises InputError if it is missing, damaged, or of another version.

    items: the mixtures' names, by split. files: what it was made from, in its order, where whoever
    opens it knows that. checksums: (chunks,) of samples.bin, None in older stores. place: of the
    samples, for messages. shards: the samples of a store without samples.bin, by type and
    checksums; `folder` has its other files then.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        files: Sequence[Item] = (),
        *,
        place: str | None = None,
        shards: Callable[[str, NDArray[np.uint32]], Samples] | None = None,
    ) -> None:
        self.folder, self.files = Path(folder), files
        self.place = place or str(self.folder)
        meta, self.index, self.checksums = _open(self.folder, whole=shards is None)
        self.sample_rate: int = meta["sample_rate"]
        self.fingerprint: str = meta["fingerprint"]
        self.dtype: str = meta["dtype"]
        self.items: dict[str, list[str]] = meta["splits"]
        self._shards = shards

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.items)

    def samples(self) -> Samples:
        """The samples of all splits, none of them checked yet."""
        if self._shards is None:
            return MappedSamples(self.folder / "samples.bin", self.dtype, self.checksums)
        assert self.checksums is not None
        return self._shards(self.dtype, self.checksums)

    def split(self, name: str) -> Split:
        """The split of that name. Raises InputError naming those there are."""
        if name not in self.items:
            raise InputError(f"split={name}: {self.place} has {', '.join(self.items)}")
        return Split(self, name)


def scale_of(dtype: DTypeLike) -> float:
    """The factor to [-1, 1] for samples of a store of this type, int16 or float32."""
    return LSB if np.dtype(dtype) == np.int16 else 1.0


def checksums_of(samples: Path) -> NDArray[np.uint32]:
    """Of samples.bin, as crc32.npy holds them: (chunks,)."""
    with open(samples, "rb") as file:
        return np.array([zlib.crc32(chunk) for chunk in iter(partial(file.read, CHUNK), b"")], "u4")


def checksum(meta: Mapping[str, Any], index: bytes) -> int:
    """Of meta.json without this number, and of index.npy."""
    return zlib.crc32(index, zlib.crc32(json.dumps(meta).encode()))


def _open(
    folder: Path, whole: bool
) -> tuple[dict[str, Any], NDArray[np.void], NDArray[np.uint32] | None]:
    """meta.json, the index and the checksums, None in older stores, if all belong together.

    whole: with samples.bin.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        content = (folder / "index.npy").read_bytes()
        if meta.pop("crc32", None) not in (None, checksum(meta, content)):
            raise ValueError("meta.json or index.npy is damaged")
        index = np.load(io.BytesIO(content), allow_pickle=False)
        expected = meta["values"] * np.dtype(meta["dtype"]).itemsize
        size = (folder / "samples.bin").stat().st_size if whole else expected
        if meta["version"] != VERSION or index.dtype != INDEX or size != expected:
            raise ValueError(f"samples.bin has {size} bytes, not {expected}, or an old layout")
        sums = None
        if "chunk" in meta:
            sums = np.load(folder / "crc32.npy", allow_pickle=False)
            shape = (-(-size // CHUNK),)
            if (meta["chunk"], sums.dtype, sums.shape) != (CHUNK, np.uint32, shape):
                raise ValueError("crc32.npy is not of this samples.bin")
        if missing := {"sample_rate", "fingerprint", "splits"} - meta.keys():
            raise ValueError(f"meta.json has no {', '.join(sorted(missing))}")
    except Exception as error:  # numpy raises many kinds for a bad header
        raise InputError(f"{folder}: not a whole store ({error}); delete the folder") from error
    return meta, index, sums
