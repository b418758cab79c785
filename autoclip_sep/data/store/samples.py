"""The samples of a store by their place in samples.bin; here from a memory map."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.files import mapped

CHUNK = 2**16  # bytes of samples.bin that have a checksum in common
Range = tuple[int, int]  # from and to, counted in samples


def first_damaged(content: bytes, checksums: NDArray[np.uint32]) -> int | None:
    """The first chunk of the content, from 0, that hasn't its checksum; None where all have.

    checksums: (chunks or more,), from the content's first on.
    """
    view = memoryview(content)
    for chunk, place in enumerate(range(0, len(view), CHUNK)):
        if zlib.crc32(view[place : place + CHUNK]) != checksums[chunk]:
            return chunk
    return None


class Samples(Protocol):
    """What `Split` reads from; samples are counted from the beginning of samples.bin.

    far: whether `fetch` does anything.
    """

    far: bool

    def block(
        self, offset: int, shape: tuple[int, int, int], start: int, stop: int, name: str
    ) -> NDArray[Any]:
        """Samples start to stop of each signal of a mixture, (signals, stop - start, C).

        shape: (signals, T, C) of what lies at `offset`. name: the mixture's, for messages. Raises
        InputError where they aren't what was stored, or can't be read.
        """

    def fetch(self, ranges: Sequence[Range], wait: bool) -> None:
        """Get the samples of these ranges near, all at the same time; wait: until they are."""


class MappedSamples:
    """Samples of a file on this machine, of which each process checks what it reads once.

    checksums: (chunks,), None in older stores.
    """

    far = False  # the operating system reads ahead

    def __init__(self, path: Path, dtype: DTypeLike, checksums: NDArray[np.uint32] | None) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        self._map: NDArray[Any] | None = None
        self._checksums = checksums
        self._compared = np.zeros(0 if checksums is None else len(checksums), bool)

    def __getstate__(self) -> dict[str, Any]:
        # Each process opens its own map, and checks it.
        return self.__dict__ | {"_map": None, "_compared": np.zeros_like(self._compared)}

    def block(
        self, offset: int, shape: tuple[int, int, int], start: int, stop: int, name: str
    ) -> NDArray[Any]:
        """As `Samples.block`: a view."""
        if self._map is None:
            # Not by numpy's memmap class, which costs microseconds per slice.
            self._map = np.frombuffer(mapped(self.path), self.dtype)
        signals, length, channels = shape
        size = length * channels
        if self._checksums is not None:
            for own in range(offset, offset + signals * size, size):
                self._compare(name, own + start * channels, own + stop * channels)
        block = self._map[offset : offset + signals * size].reshape(signals, -1, channels)
        return block[:, start:stop]

    def fetch(self, ranges: Sequence[Range], wait: bool) -> None:
        """Nothing."""

    def _compare(self, name: str, start: int, stop: int) -> None:
        """Check samples start to stop, which are of that mixture, by their checksums."""
        assert self._map is not None
        assert self._checksums is not None
        values = CHUNK // self.dtype.itemsize
        for chunk in range(start // values, -(-stop // values)):
            if self._compared[chunk]:
                continue
            found = zlib.crc32(self._map[chunk * values : (chunk + 1) * values].data)
            if found != self._checksums[chunk]:
                raise InputError(
                    f"{self.path} is damaged within {CHUNK} bytes from byte {chunk * CHUNK} on,"
                    f" read for {name}: delete {self.path.parent}, it is made again"
                )
            self._compared[chunk] = True
