"""Values seen so far, in order of arrival and in order of size."""

import math
from array import array
from bisect import bisect_left, insort

import torch
from torch import Tensor


class History:
    """Numbers to take percentiles of. Each is inserted into its place; nothing is ever sorted.

    Both orders are kept as packed float64 (16 bytes an entry); an insertion is a binary search
    and one move of memory, a percentile two look-ups.

    window: how many of the latest numbers are kept; None for all.
    """

    def __init__(self, window: int | None = None) -> None:
        self._window = window
        self._arrived = array("d")
        self._sorted = array("d")

    def __len__(self) -> int:
        return len(self._arrived)

    def append(self, value: float) -> None:
        """Adds a finite number, and forgets the oldest one where the window is full."""
        self._arrived.append(value)
        insort(self._sorted, value)
        if self._window is not None and len(self) > self._window:
            oldest = self._arrived.pop(0)
            del self._sorted[bisect_left(self._sorted, oldest)]

    def percentile(self, percentile: float) -> float:
        """The percentile in [0, 100] by linear interpolation, as `numpy.percentile` gives it.

        Raises IndexError where nothing has been appended.
        """
        position = percentile / 100 * (len(self._sorted) - 1)
        below = math.floor(position)
        low, high = self._sorted[below], self._sorted[math.ceil(position)]
        part = position - below
        # Interpolating from the nearer end, as numpy does, gives `high` itself at its place.
        return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)

    def tensor(self) -> Tensor:
        """The entries, oldest first: (entries,) float64."""
        if not self._arrived:
            return torch.empty(0, dtype=torch.float64)
        return torch.frombuffer(self._arrived, dtype=torch.float64).clone()

    @classmethod
    def from_tensor(cls, entries: object, window: int | None = None) -> "History":
        """The history of these entries, oldest first, as far as the window reaches.

        Raises ValueError unless they are one row of finite float64 numbers.
        """
        if not isinstance(entries, Tensor) or entries.ndim != 1 or entries.dtype != torch.float64:
            raise ValueError("a clipper's history must be one row of float64 numbers")
        if not bool(torch.isfinite(entries).all()):
            raise ValueError("a clipper's history must be finite")
        history = cls(window)
        kept = entries if window is None else entries[-window:]
        history._arrived = array("d", kept.tolist())
        history._sorted = array("d", kept.sort().values.tolist())
        return history
