"""What losses of waveforms share: the order of estimates, a floor for silence, the objective."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from autoclip_sep.losses.channels import average, fold
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder
from autoclip_sep.types import Batch, Estimate

FLOOR = 1e-12


def floor_of(energy: Tensor) -> Tensor:
    """(B, S) to (B, 1): far below any signal of the example, above zero even where all are silent.

    1e-12 times the mean, so that ratios of energies stay within about +-120 dB.
    """
    least = 1e6 * torch.finfo(energy.dtype).tiny  # its reciprocal is finite, a GradScaler's too
    return FLOOR * energy.mean(dim=-1, keepdim=True) + least


@torch.no_grad()
def in_order_of_estimates(
    estimate: Tensor, reference: Tensor, cost: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The references (B, S, T) in the order of the estimates, found without gradients.

    cost: of one estimate (B, 1, T) against every reference, (B, S).
    """
    sources = range(estimate.shape[1])
    costs = torch.stack([cost(estimate[:, i, None], reference) for i in sources], dim=1)
    _, permutation = best_permutation(costs)
    return reorder(reference, inverse_permutation(permutation))


class WaveformObjective(ABC):
    """Trains waveforms with `loss`(estimate, reference, permute). Head: waveforms."""

    @staticmethod
    @abstractmethod
    def loss(estimate: Tensor, reference: Tensor, permute: bool) -> Tensor:
        """(B, S, T) against (B, S, T): one value for each example, (B,)."""

    def __init__(self, permute: bool = True) -> None:
        self.permute = permute

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        waveforms = fold(estimate.head("waveforms"))
        loss = self.loss(waveforms, fold(batch.sources), self.permute)
        return average(loss, len(batch.mixture))
