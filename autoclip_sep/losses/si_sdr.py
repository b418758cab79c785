"""Negative scale-invariant signal-to-distortion ratio of waveforms, permutation-free.

Source: Le Roux et al., "SDR - half-baked or well done?" (2019), Eq. (3)-(5), as a loss in Luo and
Mesgarani, "Conv-TasNet" (2019), section II-D. As in the metric the mean is not removed.
Difference: target and error get a floor of 1e-12 times the mean energy of the example's estimates,
so that each ratio stays within about +-120 dB and silence has a finite loss and gradient. A silent
reference pulls its estimate towards silence.
"""

import torch
from torch import Tensor

from autoclip_sep.losses.channels import average, fold
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder
from autoclip_sep.precision import full_precision
from autoclip_sep.types import Batch, Estimate

FLOOR = 1e-12


@full_precision
def si_sdr_loss(estimate: Tensor, reference: Tensor, permute: bool = True) -> Tensor:
    """-10 log10( ||a s||^2 / ||a s - s_hat||^2 ) in dB, the mean over sources, (B,).

    a = <s_hat, s> / ||s||^2. estimate, reference: (B, S, T).
    permute: choose the best order of the estimates for each utterance; otherwise estimate i is
    for reference i. Scaling either signal changes nothing. Where all is silent the loss is 0.
    """
    floors = _floor(estimate.detach()), _floor(reference)
    if permute:
        reference = _order_of_estimates(estimate.detach(), reference, floors)
    return _negative(estimate, reference, floors).mean(dim=-1)


def _negative(estimate: Tensor, reference: Tensor, floors: tuple[Tensor, Tensor]) -> Tensor:
    """The negative ratio [dB] of each signal (..., T); floors: of the estimates', references'."""
    own, others = floors
    scale = (estimate * reference).sum(dim=-1) / (reference.square().sum(dim=-1) + others)
    target = scale.unsqueeze(-1) * reference  # Eq. (3)
    error = (target - estimate).square().sum(dim=-1) + own
    return 10 * (error.log10() - (target.square().sum(dim=-1) + own).log10())  # Eq. (5)


def _floor(signals: Tensor) -> Tensor:
    """(B, 1): far below any signal of the example, above zero even where all are silent."""
    energy = signals.square().sum(dim=-1)
    least = 1e6 * torch.finfo(energy.dtype).tiny  # its reciprocal is finite, a GradScaler's too
    return FLOOR * energy.mean(dim=-1, keepdim=True) + least


@torch.no_grad()
def _order_of_estimates(
    estimate: Tensor, reference: Tensor, floors: tuple[Tensor, Tensor]
) -> Tensor:
    """The references (B, S, T) in the order of the estimates, found without gradients."""
    sources = range(estimate.shape[1])
    cost = torch.stack([_negative(estimate[:, i, None], reference, floors) for i in sources], dim=1)
    _, permutation = best_permutation(cost)
    return reorder(reference, inverse_permutation(permutation))


class SISDR:
    """Trains waveforms with `si_sdr_loss`. Head: waveforms.

    Outputs of such a network have no scale of their own: bring them to the mixture's before
    listening.
    """

    def __init__(self, permute: bool = True) -> None:
        self.permute = permute

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        waveforms = fold(estimate.head("waveforms"))
        loss = si_sdr_loss(waveforms, fold(batch.sources), self.permute)
        return average(loss, len(batch.mixture))
