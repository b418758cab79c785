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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.files import mapped
from autoclip_sep.names import shown

VERSION = 1
CHUNK = 2**16  # bytes of samples.bin that have a checksum in common
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
    """The mixtures of one split, read from the memory map.

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
        self._map: NDArray[Any] | None = None
        self._checksums = store.checksums
        self._compared = np.zeros(0 if self._checksums is None else len(self._checksums), bool)

    def __len__(self) -> int:
        return len(self.items)

    def __getstate__(self) -> dict[str, Any]:
        # Each process opens its own map, and checks it.
        return self.__dict__ | {"_map": None, "_compared": np.zeros_like(self._compared)}

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

    def _block(self, i: int, offset: int, signals: int, start: int, stop: int) -> NDArray[Any]:
        """Samples start to stop of signals that lie one after the other: (signals, T, C), a view.

        Raises InputError where they aren't what was stored.
        """
        if self._map is None:
            # Not by numpy's memmap class, which costs microseconds per slice.
            self._map = np.frombuffer(mapped(self.folder / "samples.bin"), self.dtype)
        size = int(self.lengths[i]) * self.channels
        if self._checksums is not None:
            for own in range(offset, offset + signals * size, size):
                self._compare(i, own + start * self.channels, own + stop * self.channels)
        block = self._map[offset : offset + signals * size].reshape(signals, -1, self.channels)
        return block[:, start:stop]

    def _compare(self, i: int, start: int, stop: int) -> None:
        """Check values start to stop of the map, which are of mixture i, by their checksums."""
        assert self._map is not None
        assert self._checksums is not None
        values = CHUNK // self.dtype.itemsize
        for chunk in range(start // values, -(-stop // values)):
            if self._compared[chunk]:
                continue
            found = zlib.crc32(self._map[chunk * values : (chunk + 1) * values].data)
            if found != self._checksums[chunk]:
                raise InputError(
                    f"{self.folder / 'samples.bin'} is damaged within {CHUNK} bytes from byte"
                    f" {chunk * CHUNK} on, read for {self.items[i]}: delete {self.folder}, it is"
                    " made again"
                )
            self._compared[chunk] = True


class Store:
    """An opened store. Raises InputError if it is missing, damaged, or of another version.

    items: the mixtures' names, by split. files: what it was made from, in its order, where whoever
    opens it knows that. checksums: (chunks,) of samples.bin, None in older stores.
    """

    def __init__(self, folder: str | os.PathLike[str], files: Sequence[Item] = ()) -> None:
        self.folder, self.files = Path(folder), files
        meta, self.index, self.checksums = _open(self.folder)
        self.sample_rate: int = meta["sample_rate"]
        self.fingerprint: str = meta["fingerprint"]
        self.dtype: str = meta["dtype"]
        self.items: dict[str, list[str]] = meta["splits"]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.items)

    def split(self, name: str) -> Split:
        """The split of that name. Raises InputError naming those there are."""
        if name not in self.items:
            raise InputError(f"split={name}: {self.folder} has {', '.join(self.items)}")
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


def _open(folder: Path) -> tuple[dict[str, Any], NDArray[np.void], NDArray[np.uint32] | None]:
    """meta.json, the index and the checksums, None in older stores, if all belong together."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        content = (folder / "index.npy").read_bytes()
        if meta.pop("crc32", None) not in (None, checksum(meta, content)):
            raise ValueError("meta.json or index.npy is damaged")
        index = np.load(io.BytesIO(content), allow_pickle=False)
        size = (folder / "samples.bin").stat().st_size
        expected = meta["values"] * np.dtype(meta["dtype"]).itemsize
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
