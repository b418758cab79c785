"""Signal-to-noise ratio of waveforms, permutation-free.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (8).
Difference: both energies get a floor of 1e-12 times the mean energy of the example's references
and estimates, so that each ratio stays within about +-120 dB and silence has a finite loss and
gradient. A silent reference still pulls its estimate towards silence.
"""

import torch
from torch import Tensor

from autoclip_sep.losses.channels import average, fold
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder
from autoclip_sep.precision import full_precision
from autoclip_sep.types import Batch, Estimate

FLOOR = 1e-12


@full_precision
def snr_loss(estimate: Tensor, reference: Tensor, permute: bool = True) -> Tensor:
    """Eq. (8): -10 log10( ||s||^2 / ||s - s_hat||^2 ) in dB, the mean over sources, (B,).

    estimate, reference: (B, S, T).
    permute: choose the best order of the estimates for each utterance; otherwise estimate i is
    for reference i. Scaling both signals changes nothing. Where all is silent the loss is 0.
    """
    if permute:
        reference = _order_of_estimates(estimate.detach(), reference)
    floor = _floor(estimate.detach(), reference)
    error = (reference - estimate).square().sum(dim=-1) + floor
    energy = reference.square().sum(dim=-1) + floor
    return 10 * (error.log10() - energy.log10()).mean(dim=-1)  # Eq. (8)


def _floor(estimate: Tensor, reference: Tensor) -> Tensor:
    """(B, 1): far below any signal of the example, above zero even where all are silent."""
    energy = estimate.square().sum(dim=-1) + reference.square().sum(dim=-1)
    least = 1e6 * torch.finfo(energy.dtype).tiny  # its reciprocal is finite, a GradScaler's too
    return FLOOR * energy.mean(dim=-1, keepdim=True) + least


@torch.no_grad()
def _order_of_estimates(estimate: Tensor, reference: Tensor) -> Tensor:
    """The references (B, S, T) in the order of the estimates, found without gradients."""
    floor = _floor(estimate, reference)
    sources = range(estimate.shape[1])
    # ||s||^2 is the same in every order: the errors alone decide.
    cost = torch.stack(
        [
            (estimate[:, i, None] - reference).square().sum(dim=-1).add(floor).log10()
            for i in sources
        ],
        dim=1,
    )
    _, permutation = best_permutation(cost)
    return reorder(reference, inverse_permutation(permutation))


class SNR:
    """Trains waveforms with `snr_loss`. Head: waveforms."""

    def __init__(self, permute: bool = True) -> None:
        self.permute = permute

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        waveforms = fold(estimate.head("waveforms"))
        loss = snr_loss(waveforms, fold(batch.sources), self.permute)
        return average(loss, len(batch.mixture))
