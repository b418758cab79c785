"""What objectives share: channels in the batch, the order of estimates, a floor for silence."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from autoclip_sep.masks import frame_major, ideal_binary_mask, magnitude_weight
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

FLOOR = 1e-12


def fold(signals: Tensor) -> Tensor:
    """(B, S, C, ...) to (B*C, S, ...): channels as examples, since the equations have none."""
    return signals.transpose(1, 2).flatten(0, 1)


def average(loss: Tensor, batch: int) -> Tensor:
    """(B*C,) to (B,): the mean over the channels of each example."""
    return loss.reshape(batch, -1).mean(dim=1)


def floor_of(energy: Tensor) -> Tensor:
    """(B, S) to (B, 1): 1e-12 of the mean energy, and above zero even where all are silent.

    Ratios of energies then stay within about +-120 dB.
    """
    least = 1e6 * torch.finfo(energy.dtype).tiny  # its reciprocal is finite, a GradScaler's too
    return FLOOR * energy.mean(dim=-1, keepdim=True) + least


@torch.no_grad()
def in_order_of_estimates(
    estimate: Tensor, reference: Tensor, cost: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The references (B, S, ...) in the order of the estimates, found without gradients.

    The references are reordered, not the estimates: only the pairs that count are differentiated.
    cost: of one estimate (B, 1, ...) against every reference, (B, S).
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


class EmbeddingObjective(ABC):
    """Trains embeddings with `loss`(embedding, assignment, weight). Head: embedding.

    weighted: W = |X| / sum |X|; otherwise every point has the same weight.
    """

    @staticmethod
    @abstractmethod
    def loss(embedding: Tensor, assignment: Tensor, weight: Tensor | None) -> Tensor:
        """(B, K, D) against (B, K, S), with (B, K) or no weights: one value for each example."""

    def __init__(self, stft: STFT, weighted: bool = True) -> None:
        self.stft = stft
        self.weighted = weighted

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        embedding = estimate.head("embedding").flatten(0, 1)
        mixture = estimate.head("mixture_stft").flatten(0, 1)
        weight = magnitude_weight(mixture) if self.weighted else None
        assignment = frame_major(ideal_binary_mask(fold(self.stft.transform(batch.sources))))
        return average(self.loss(embedding, assignment, weight), len(batch.mixture))
