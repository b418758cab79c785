"""Running mean and mean square of the losses that ALRC has let through."""

import math

import torch
import torch.distributed as dist
from torch import Tensor

from autoclip_sep.clipping._arguments import number
from autoclip_sep.clipping.history import unpack
from autoclip_sep.clipping.norms import wide


class RunningMoments:
    """First and second raw moment, decaying exponentially, the same on every process.

    Where torch.distributed is initialised every call adds one all-reduce of a few numbers, so
    that all processes share one threshold and one checkpoint serves them all.

    zeros: whether a loss of exactly 0 is taken in.
    """

    def __init__(
        self, decay: float, epsilon: float, mean: float | None, square: float | None, zeros: bool
    ) -> None:
        self._zeros = zeros
        self.decay = number("decay", decay, 0, 1, "[)")
        self.epsilon = number("epsilon", epsilon, 0, math.inf, "[)")
        if (mean is None) != (square is None):
            raise ValueError("give both mean and mean_square, or neither")
        self._moments: Tensor | None = None  # (2,) float64
        if mean is not None:
            first = number("mean", mean, -math.inf, math.inf, "[)")
            second = number("mean_square", square, 0, math.inf, "[)")
            if second <= first * first:
                raise ValueError(f"mean_square must exceed mean**2 = {first * first}, not {second}")
            self._moments = _on_host(first, second)

    def ready(self, values: Tensor) -> bool:
        """Whether there is a threshold; the first finite batch that isn't all zero sets one."""
        if self._moments is None:
            total, _, count, bad = self._sums(values.abs()).tolist()
            if bad == 0 and total > 0:
                mean = 3 * total / count
                self._moments = _on_host(mean, (30 / 25 * mean) ** 2)
        return self._moments is not None

    def mean_and_deviation(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, () float64 each."""
        assert self._moments is not None
        self._moments = self._moments.to(device, wide(device))
        mean, square = self._moments.unbind()
        return mean, ((square - mean * mean).clamp(min=0) + self.epsilon).sqrt()

    def update(self, values: Tensor, *flags: Tensor) -> tuple[Tensor, ...]:
        """Takes in a batch of values; one that isn't finite leaves everything alone.

        Gives back for each of the flags whether it is true for any value on any process: ().
        """
        assert self._moments is not None
        total, squares, count, bad, *raised = self._sums(values, *flags).unbind()
        new = torch.stack((total, squares)) / count
        moved = self.decay * self._moments + (1 - self.decay) * new
        self._moments = torch.where((bad > 0) | (count == 0), self._moments, moved)
        return tuple(number > 0 for number in raised)

    def packed(self) -> list[float]:
        """Mean and mean square, for a state; empty before the first batch."""
        return [] if self._moments is None else self._moments.tolist()

    def load(self, row: object) -> None:
        """Takes over what `packed` gave; raises ValueError for anything else."""
        moments = unpack("ALRC's moments", row)
        if len(moments) not in (0, 2) or not all(map(math.isfinite, moments)):
            raise ValueError("ALRC's moments must be two finite numbers, or none yet")
        self._moments = _on_host(*moments) if moments else None

    def _sums(self, values: Tensor, *flags: Tensor) -> Tensor:
        """Sum and sum of squares of what is taken in, how many that is, how many aren't finite.

        And how many have each flag: (4 + number of flags,) over all processes.
        """
        finite = torch.isfinite(values)
        taken = finite if self._zeros else finite & (values != 0)
        kept = torch.where(finite, values, 0.0)
        counts = [flag.to(values.dtype).sum() for flag in (taken, ~finite, *flags)]
        sums = torch.stack((kept.sum(), kept.square().sum(), *counts))
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(sums)
        return sums


def _on_host(mean: float, mean_square: float) -> Tensor:
    return torch.tensor([mean, mean_square], dtype=torch.float64, device="cpu")
