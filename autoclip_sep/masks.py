"""Ideal masks, the weight of each time-frequency point, and the frame-major order of points."""

import torch
from torch import Tensor

from autoclip_sep.precision import full_precision


def one_hot_of_largest(values: Tensor, dim: int) -> Tensor:
    """True where a value is the largest along the dimension; among equals at the first."""
    largest = values.max(dim=dim, keepdim=True).indices  # argmax is the same, several times slower
    shape = [1] * values.ndim
    shape[dim] = -1
    return torch.arange(values.shape[dim], device=values.device).reshape(shape) == largest


@full_precision
def ideal_binary_mask(source_stft: Tensor) -> Tensor:
    """(B, S, *, F, N) complex to real: 1 for the loudest source of a point, 0 for the rest.

    One-hot everywhere. Where sources are equally loud, silence included, the first of them wins.
    """
    magnitude = source_stft.abs()
    return one_hot_of_largest(magnitude, dim=1).to(magnitude.dtype)


@full_precision
def ideal_ratio_mask(source_stft: Tensor) -> Tensor:
    """(B, S, *, F, N) complex to real: each source's share of the summed magnitudes.

    The masks of a point sum to 1; at a silent point the sources share equally.
    """
    magnitude = source_stft.abs()
    total = magnitude.sum(dim=1, keepdim=True)
    silent = total == 0
    share = magnitude / total.masked_fill(silent, 1.0)
    return share.masked_fill(silent, 1.0 / source_stft.shape[1])


@full_precision
def phase_sensitive_mask(mixture_stft: Tensor, source_stft: Tensor) -> Tensor:
    """(B, *, F, N) and (B, S, *, F, N) complex to real: |S| / |X| cos(theta_X - theta_S).

    The real mask with which the masked mixture is nearest to the source (Erdogan et al. 2015).
    Unbounded, of either sign; 0 where the mixture is silent.
    """
    mixture = mixture_stft.unsqueeze(1)
    power = mixture.abs().square()
    projection = (source_stft * mixture.conj()).real
    return projection / power.masked_fill(power == 0, 1.0)


def truncated_phase_sensitive_mask(mixture_stft: Tensor, source_stft: Tensor) -> Tensor:
    """The same, clamped to [0, 1]: the nearest to the source of what a sigmoid can give."""
    return phase_sensitive_mask(mixture_stft, source_stft).clamp(0.0, 1.0)


def frame_major(points: Tensor) -> Tensor:
    """(B, *, F, N) to (B, K, *), and (B, F, N) to (B, K): time-frequency points, k = n * F + f."""
    return points.transpose(-1, -2).flatten(-2).movedim(-1, 1)


def from_frame_major(points: Tensor, bins: int) -> Tensor:
    """(B, K, *) back to (B, *, F, N) with F = bins; the inverse of `frame_major`."""
    return points.movedim(1, -1).unflatten(-1, (-1, bins)).transpose(-1, -2)


@full_precision
def magnitude_weight(mixture_stft: Tensor) -> Tensor:
    """(B, F, N) complex to (B, K): W = |X| / sum |X|, the paper's weight; zeros for silence."""
    magnitude = frame_major(mixture_stft.abs())
    total = magnitude.sum(dim=1, keepdim=True)
    return magnitude / torch.where(total == 0, 1.0, total)
