"""The least time that the hardware needs for a job: its arithmetic, or its memory traffic.

Both are counted by hand for each row, on paper: what has to be computed, and what has to be read
and written once. The rates are measured in the same run: a matrix product's and a copy's.
"""

import time
from dataclasses import dataclass
from functools import lru_cache

import torch

REPEATS = 5


@dataclass(frozen=True)
class Floor:
    """Floating-point operations in float32, and bytes that are read or written."""

    operations: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True)
class Rates:
    """What a device does in a second, at best; measured once for each number of threads."""

    device: torch.device
    quick: bool = False

    def seconds(self, floor: Floor, threads: int) -> float:
        """The floor's time: the longer of the two, since they may overlap."""
        operations, bytes_ = self.measured(threads)
        return max(floor.operations / operations, floor.bytes / bytes_)

    @lru_cache  # noqa: B019 - one of these lives as long as the program
    def measured(self, threads: int) -> tuple[float, float]:
        """Operations per second of a float32 matrix product, bytes per second of a copy."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        size, length = (256, 2**20) if self.quick else (2048, 2**26)
        square = torch.ones(size, size, device=self.device)
        out, source = torch.empty_like(square), torch.ones(length, device=self.device)
        target = torch.empty_like(source)
        product = min(self._time(lambda: torch.mm(square, square, out=out)) for _ in range(REPEATS))
        copy = min(self._time(lambda: target.copy_(source)) for _ in range(REPEATS))
        torch.set_num_threads(before)
        return 2 * size**3 / product, 2 * 4 * length / copy

    def _time(self, work: object) -> float:
        assert callable(work)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start
