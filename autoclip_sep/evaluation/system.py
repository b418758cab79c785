"""What is scored: a trained network, an ideal mask, files of estimates."""

from typing import Protocol

import torch
from torch import Tensor

from autoclip_sep.types import Batch


class System(Protocol):
    """Mixtures to estimates of their sources.

    permute: whether the order of the estimates may differ between mixtures. device: for long
    computations.
    """

    @property
    def sources(self) -> int:
        """S."""

    @property
    def permute(self) -> bool:
        """Whether estimates may come in any order."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def whole(self, batch: Batch) -> Tensor:
        """Waveforms (B, S, C, T) on the CPU, for B mixtures of any one length."""
