"""What is measured from one validation to the next: mean loss, share of clipped steps, time."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from autoclip_sep.clipping import ClipResult
from autoclip_sep.training import distributed

Item = TypeVar("Item")


class EpochSums:
    """Sums over the batches since a validation whose gradient was finite, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.clipped = torch.zeros((), dtype=torch.int64, device=device)
        self.batches = 0

    def add(self, losses: Tensor, clip: ClipResult) -> None:
        """Count one applied step and its mean loss, without a read from the device.

        losses: this process' part of the batch; the mean is over all processes.
        """
        mean = losses.detach().double().mean()
        distributed.average([mean])
        self.loss += mean
        self.clipped += clip.clipped.to(self.clipped.device)
        self.batches += 1

    def reset(self) -> None:
        """Begin anew, after a validation."""
        self.load_state_dict({"loss": 0.0, "clipped": 0, "batches": 0})

    def mean_loss(self) -> float:
        """Mean training loss, NaN before the first batch."""
        return float(self.loss) / self.batches if self.batches else float("nan")

    def clipped_share(self) -> float:
        """Share of steps whose gradient or loss was clipped, NaN before the first."""
        return int(self.clipped) / self.batches if self.batches else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for exact resume."""
        return {
            "loss": float(self.loss), "clipped": int(self.clipped), "batches": self.batches,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.loss.fill_(state["loss"])
        self.clipped.fill_(state["clipped"])
        self.batches = state["batches"]


class EpochTimer:
    """Times one loop over batches [seconds], and the wait for data in it."""

    def __init__(self) -> None:
        self.batches, self.seconds, self.waited = 0, 0.0, 0.0

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same batches, timed as they are taken."""
        began = asked = time.perf_counter()
        for batch in batches:
            self.waited += time.perf_counter() - asked
            self.batches += 1
            yield batch
            asked = time.perf_counter()
        self.seconds = time.perf_counter() - began

    def row(self, batch_size: int) -> dict[str, float]:
        """Columns of timing.csv."""
        seconds = max(self.seconds, 1e-9)
        return {
            "seconds": seconds,
            "mixtures_per_second": self.batches * batch_size / seconds,
            "data_wait": self.waited / seconds,
        }
