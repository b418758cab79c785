"""Mask inference with the truncated phase-sensitive approximation, L1, permutation-free.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (4); the target is that of Erdogan et al.,
"Phase-sensitive and recognition-boosted speech separation" (2015).
Difference: the paper's 1/N is over the time-frequency points; here the mean is taken over sources,
bins and frames.
"""

import torch
from torch import Tensor

from autoclip_sep.losses.channels import average, fold
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder
from autoclip_sep.precision import full_precision
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


@full_precision
def truncated_phase_sensitive_target(mixture_stft: Tensor, source_stft: Tensor) -> Tensor:
    """The magnitudes that masked mixtures should have: T_0^|X|( |S| cos(theta_X - theta_S) ).

    mixture_stft: (B, F, N) complex. source_stft: (B, S, F, N) complex. Returns (B, S, F, N).
    """
    mixture = mixture_stft.unsqueeze(1)
    magnitude = mixture.abs()
    phase = mixture.conj() / magnitude.masked_fill(magnitude == 0, 1.0)
    return (source_stft * phase).real.clamp_min(0.0).minimum(magnitude)


@full_precision
def mask_inference_loss(
    mask: Tensor, mixture_stft: Tensor, source_stft: Tensor, permute: bool = True
) -> Tensor:
    """Eq. (4): the mean of | M |X| - T_0^|X|( |S| cos(theta_X - theta_S) ) |, (B,).

    mask: (B, S, F, N). mixture_stft: (B, F, N) complex. source_stft: (B, S, F, N) complex.
    permute: choose the best order of the estimates for each utterance; otherwise mask i is for
    source i.
    """
    magnitude = mixture_stft.abs()
    target = truncated_phase_sensitive_target(mixture_stft, source_stft)
    if permute:
        target = _order_of_masks(mask.detach(), magnitude, target)
    error = mask * magnitude.unsqueeze(1) - target  # Eq. (4)
    return error.abs().mean(dim=(1, 2, 3))


@torch.no_grad()
def _order_of_masks(mask: Tensor, magnitude: Tensor, target: Tensor) -> Tensor:
    """The targets (B, S, F, N) in the order of the masks.

    The order is found without gradients and the targets are moved, not the masks: only the pairs
    that count are then differentiated.
    """
    sources = range(mask.shape[1])
    estimates = [mask[:, i] * magnitude for i in sources]
    cost = torch.stack(
        [
            torch.stack([(estimates[i] - target[:, j]).abs().mean(dim=(1, 2)) for j in sources], 1)
            for i in sources
        ],
        dim=1,
    )
    _, permutation = best_permutation(cost)
    return reorder(target, inverse_permutation(permutation))


class MaskInference:
    """Trains masks with `mask_inference_loss`. Head: masks."""

    def __init__(self, stft: STFT, permute: bool = True) -> None:
        self.stft = stft
        self.permute = permute

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        loss = mask_inference_loss(
            fold(estimate.head("masks")),
            estimate.head("mixture_stft").flatten(0, 1),
            fold(self.stft.transform(batch.sources)),
            self.permute,
        )
        return average(loss, len(batch.mixture))
