"""Values seen so far, in order of arrival and in order of size."""

import math
from array import array

import torch
from torch import Tensor

from autoclip_sep.clipping.ordered import Ordered


class History:
    """Numbers to take percentiles of. Each is inserted into its place; nothing is ever sorted.

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
        """Adds a finite number, and forgets the oldest one where the window is full."""
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

    def tensor(self) -> Tensor:
        """The entries, oldest first: (entries,) float64."""
        if not self._arrived:
            return torch.empty(0, dtype=torch.float64)
        return torch.frombuffer(self._arrived, dtype=torch.float64).roll(-self._oldest)

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
        history._ordered = Ordered(kept.sort().values.tolist())
        return history
