"""How fast an epoch is, and how much of it is spent waiting for data."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

TIMING = ("epoch", "step", "seconds", "mixtures_per_second", "data_wait", "valid_seconds")


class EpochTimer:
    """Times one epoch's loop over its batches [seconds]."""

    def __init__(self) -> None:
        self.batches, self.seconds, self.waited = 0, 0.0, 0.0

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same batches; whoever takes them is timed."""
        began = asked = time.perf_counter()
        for batch in batches:
            self.waited += time.perf_counter() - asked
            self.batches += 1
            yield batch
            asked = time.perf_counter()
        self.seconds = time.perf_counter() - began

    def row(self, batch_size: int) -> dict[str, float]:
        """Columns of `TIMING`."""
        seconds = max(self.seconds, 1e-9)
        return {
            "seconds": seconds,
            "mixtures_per_second": self.batches * batch_size / seconds,
            "data_wait": self.waited / seconds,
        }
