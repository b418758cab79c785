"""Mask inference with the truncated phase-sensitive approximation, L1, permutation-free.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (4); the target is that of Erdogan et al.,
"Phase-sensitive and recognition-boosted speech separation" (2015).
Difference: the paper averages over time-frequency points; here the mean is over sources, bins and
frames.
"""

from torch import Tensor

from autoclip_sep.losses._objectives import average, fold, in_order_of_estimates
from autoclip_sep.precision import full_precision
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


@full_precision
def truncated_phase_sensitive_target(mixture_stft: Tensor, source_stft: Tensor) -> Tensor:
    """Target magnitudes of the masked mixture: T_0^|X|( |S| cos(theta_X - theta_S) ).

    mixture_stft: (B, F, N) complex. source_stft: (B, S, F, N) complex. Returns (B, S, F, N).
    """
    mixture = mixture_stft.unsqueeze(1)
    return _target(mixture, mixture.abs(), source_stft)


def _target(mixture: Tensor, magnitude: Tensor, source_stft: Tensor) -> Tensor:
    """The same of a mixture (B, 1, F, N) whose magnitude is known."""
    phase = mixture.conj() / magnitude.masked_fill(magnitude == 0, 1.0)
    return (source_stft * phase).real.clamp_min(0.0).minimum(magnitude)


@full_precision
def mask_inference_loss(
    mask: Tensor, mixture_stft: Tensor, source_stft: Tensor, permute: bool = True
) -> Tensor:
    """Eq. (4): the mean of | M |X| - T_0^|X|( |S| cos(theta_X - theta_S) ) |, (B,).

    mask: (B, S, F, N). mixture_stft: (B, F, N) complex. source_stft: (B, S, F, N) complex.
    permute: use the best permutation of the estimates for each utterance; otherwise mask i is for
    source i.
    """
    mixture = mixture_stft.unsqueeze(1)
    magnitude = mixture.abs()
    target = _target(mixture, magnitude, source_stft)
    masked = mask * magnitude
    if permute:
        target = in_order_of_estimates(
            masked.detach(), target, lambda m, t: (m - t).abs().mean(dim=(2, 3))
        )
    return (masked - target).abs().mean(dim=(1, 2, 3))  # Eq. (4)


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
