"""One epoch's sums, kept on the device and in the checkpoint."""

from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping import ClipResult


class EpochSums:
    """Sums over the batches of an epoch whose gradient was finite."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.clipped = torch.zeros((), dtype=torch.int64, device=device)
        self.batches = 0

    def add(self, loss: Tensor, clip: ClipResult) -> None:
        """Count one applied step and its mean loss; nothing is read back from the device here."""
        self.loss += loss
        self.clipped += clip.clipped.to(self.clipped.device)
        self.batches += 1

    def reset(self) -> None:
        """Begin another epoch."""
        self.load_state_dict({"loss": 0.0, "clipped": 0, "batches": 0})

    def mean_loss(self) -> float:
        """Mean training loss, NaN before the first batch."""
        return float(self.loss) / self.batches if self.batches else float("nan")

    def clipped_share(self) -> float:
        """Share of steps whose gradient or loss was clipped, NaN before the first."""
        return int(self.clipped) / self.batches if self.batches else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Numbers, for exact resume."""
        return {
            "loss": float(self.loss), "clipped": int(self.clipped), "batches": self.batches,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on summing from a saved state."""
        self.loss.fill_(state["loss"])
        self.clipped.fill_(state["clipped"])
        self.batches = state["batches"]
