"""Norms seen so far, in order of arrival and of size, and their form in a state.

torch.distributed.checkpoint reads a tensor into the one that is there, which must have the size
that was saved, and pickles everything else. How long a history is depends on how far training has
come, so in a state it is no tensor but a list.
"""

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import itemgetter
from typing import TypeGuard

import torch
from torch import Tensor

_BLOCK = 8192  # numbers, at most
_last = itemgetter(-1)


class History:
    """Norms to take percentiles of. Each is inserted into its place; nothing is ever sorted.

    A norm of exactly 0 doesn't enter: it carries no information about the scale of gradients.

    Both orders are kept as packed float64 (16 bytes an entry). An insertion costs about the same
    however many entries there are; a percentile is two look-ups.

    window: how many of the latest norms are kept; None for all.
    """

    def __init__(self, window: int | None = None) -> None:
        self._window = window
        self._arrived = array("d")  # a ring once the window is full
        self._oldest = 0
        self._sorted = SortedBlocks()

    def __len__(self) -> int:
        return len(self._arrived)

    def append(self, value: float) -> None:
        """Adds a finite norm, unless it is 0; forgets the oldest where the window is full."""
        if value == 0:
            return
        if self._window is not None and len(self) == self._window:
            self._sorted.remove(self._arrived[self._oldest])
            self._arrived[self._oldest] = value
            self._oldest = (self._oldest + 1) % self._window
        else:
            self._arrived.append(value)
        self._sorted.insert(value)

    def percentile(self, percentile: float) -> float:
        """The percentile in [0, 100] by linear interpolation, as `numpy.percentile` gives it.

        Raises IndexError for an empty history.
        """
        position = percentile / 100 * (len(self) - 1)
        below = math.floor(position)
        low, high = self._sorted[below], self._sorted[math.ceil(position)]
        part = position - below
        # Interpolating from the nearer end, as numpy does, gives `high` itself at its place.
        return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)

    def entries(self) -> "array[float]":
        """Oldest first."""
        return self._arrived[self._oldest :] + self._arrived[: self._oldest]

    def tensor(self) -> Tensor:
        """The entries, oldest first: (entries,) float64."""
        return to_tensor(self.entries())

    @classmethod
    def unpacked(cls, row: object, window: int | None = None) -> "History":
        """The history of these entries, oldest first, as far as the window reaches.

        row: a list of the entries, or a tensor (entries,) float64. Zeros, which entered in states
        of version 1, are dropped.

        Raises ValueError for anything else and for entries that are non-finite or negative.
        """
        entries = unpack("a clipper's history", row)
        if not all(0 <= entry < math.inf for entry in entries):
            raise ValueError("a clipper's history must be finite, and never negative")
        history = cls(window)
        kept = array("d", filter(None, entries))
        history._arrived = kept if window is None else kept[-window:]
        history._sorted = SortedBlocks(history.tensor().sort().values.tolist())
        return history


class SortedBlocks:
    """Floats in ascending order, as blocks of packed float64, none of them empty.

    An insertion or a removal is a binary search among the blocks' last numbers and one within a
    block, and moves 64 KiB at most: in one packed array of a million numbers the 4 MB to move would
    take longer than all else in the clip of a small network. A look-up walks along the blocks.

    ascending: the numbers to start with.
    """

    def __init__(self, ascending: Iterable[float] = ()) -> None:
        numbers, size = array("d", ascending), _BLOCK // 2  # half full: there is room
        self._blocks = [numbers[start : start + size] for start in range(0, len(numbers), size)]

    def insert(self, number: float) -> None:
        """Puts a number, not NaN, into its place."""
        if not self._blocks:
            self._blocks.append(array("d", [number]))
            return
        index = min(bisect_left(self._blocks, number, key=_last), len(self._blocks) - 1)
        block = self._blocks[index]
        insort(block, number)
        if len(block) > _BLOCK:
            self._blocks.insert(index + 1, block[_BLOCK // 2 :])
            del block[_BLOCK // 2 :]

    def remove(self, number: float) -> None:
        """Takes out a number that is there."""
        index = bisect_left(self._blocks, number, key=_last)
        block = self._blocks[index]
        del block[bisect_left(block, number)]
        if not block:
            del self._blocks[index]

    def __getitem__(self, place: int) -> float:
        """The number at a place, from 0 for the smallest; raises IndexError beyond the last."""
        for block in self._blocks:
            if place < len(block):
                return block[place]
            place -= len(block)
        raise IndexError("there are fewer numbers")


def is_row(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor (n,) that takes the room of n numbers in a file.

    One number expanded to any length doesn't, nor does a sparse tensor.
    """
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.ndim == 1 and value.is_contiguous()


def unpack(name: str, row: object) -> "array[float]":
    """A list of numbers as float64; also the (n,) float64 tensors of states of version 1.

    Raises ValueError for anything else.
    """
    if isinstance(row, Tensor):
        row = row.tolist() if is_row(row) and row.dtype == torch.float64 else None
    if isinstance(row, list) and all(type(number) in (float, int) for number in row):
        try:
            return array("d", row)
        except OverflowError:  # an integer beyond float64
            pass
    raise ValueError(f"{name} must be one row of float64 numbers")


def to_tensor(numbers: "array[float]") -> Tensor:
    """(n,) float64 on the host, of the same storage."""
    if not numbers:
        return torch.empty(0, dtype=torch.float64, device="cpu")
    return torch.frombuffer(numbers, dtype=torch.float64)
