"""Norms seen so far, in order of arrival and of size, and the rows that they are in a state.

torch.distributed.checkpoint reads a tensor into the one that is there, which must have the size
that was saved, and pickles everything else. How long a history is depends on how far training has
come, so in a state it is no tensor but a list.
"""

import math
from array import array
from typing import TypeGuard

import torch
from torch import Tensor

from autoclip_sep.clipping._ordered import Ordered


class History:
    """Norms to take percentiles of. Each is inserted into its place; nothing is ever sorted.

    A norm of exactly 0 doesn't enter: it carries no information about the scale of gradients.

    Both orders are kept as packed float64 (16 bytes an entry). An insertion costs about the same
    however many entries there are; a percentile is two look-ups.

    window: how many of the latest numbers are kept; None for all.
    """

    def __init__(self, window: int | None = None) -> None:
        self._window = window
        self._arrived = array("d")  # a ring once the window is full
        self._oldest = 0
        self._ordered = Ordered()

    def __len__(self) -> int:
        return len(self._arrived)

    def append(self, value: float) -> None:
        """Adds a finite norm, unless it is 0; forgets the oldest where the window is full."""
        if value == 0:
            return
        if self._window is not None and len(self) == self._window:
            self._ordered.remove(self._arrived[self._oldest])
            self._arrived[self._oldest] = value
            self._oldest = (self._oldest + 1) % self._window
        else:
            self._arrived.append(value)
        self._ordered.insert(value)

    def percentile(self, percentile: float) -> float:
        """The percentile in [0, 100] by linear interpolation, as `numpy.percentile` gives it.

        Raises IndexError where nothing has been appended.
        """
        position = percentile / 100 * (len(self) - 1)
        below = math.floor(position)
        low, high = self._ordered[below], self._ordered[math.ceil(position)]
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

        row: its entries, or a tensor (entries,) float64. Zeros, which entered in states of
        version 1, are left out.

        Raises ValueError for anything else and for entries that aren't finite or are negative.
        """
        entries = unpack("a clipper's history", row)
        if not all(0 <= entry < math.inf for entry in entries):
            raise ValueError("a clipper's history must be finite, and never negative")
        history = cls(window)
        kept = array("d", filter(None, entries))
        history._arrived = kept if window is None else kept[-window:]
        history._ordered = Ordered(history.tensor().sort().values.tolist())
        return history


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
        except OverflowError:  # a whole number beyond float64
            pass
    raise ValueError(f"{name} must be one row of float64 numbers")


def to_tensor(numbers: "array[float]") -> Tensor:
    """(n,) float64 on the host, of the same storage."""
    if not numbers:
        return torch.empty(0, dtype=torch.float64, device="cpu")
    return torch.frombuffer(numbers, dtype=torch.float64)
