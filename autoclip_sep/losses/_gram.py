"""The single pass over all time-frequency points of deep clustering and whitened k-means.

Both losses are functions of V^T W V, V^T W Y and Y^T W Y, small matrices, so the K x K affinities
of the equations are never computed. The derivative of these products is written in closed form:
it keeps only the inputs in memory and is several times faster than autograd's.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

POINTS_AT_ONCE = 2048  # a slice in float64 fits a processor's cache


def weighted_gram(
    embedding: Tensor, assignment: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """V^T W V (B, D, D), V^T W Y (B, D, S) and Y^T W Y (B, S, S), summed in float64.

    embedding V: (B, K, D). assignment Y: (B, K, S). weight, W's diagonal: (B, K).
    Differentiable in the embedding only; raises ValueError where another derivative is needed.
    """
    gram: Tensor = _WeightedGram.apply(embedding, assignment.to(embedding.dtype), weight)
    size = embedding.shape[-1]
    return gram[:, :size, :size], gram[:, :size, size:], gram[:, size:, size:]


class _WeightedGram(torch.autograd.Function):
    """Z^T W Z of Z = [V Y], (B, D + S, D + S)."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, assignment: Tensor, weight: Tensor) -> Tensor:
        if any(ctx.needs_input_grad[1:]):
            raise ValueError("the assignment and the weight are data: no derivative is computed")
        ctx.save_for_backward(embedding, assignment, weight)
        size = embedding.shape[-1] + assignment.shape[-1]
        gram = embedding.new_zeros(len(embedding), size, size, dtype=torch.float64)
        for points, share in _slices(embedding, assignment, weight):
            points = points.double()
            gram.baddbmm_((points * share).transpose(1, 2), points)
        return gram

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        embedding, assignment, weight = ctx.saved_tensors
        # d(Z^T W Z) = dZ^T W Z + Z^T W dZ, so the gradient is W Z (G + G^T), its V columns.
        (gradient,) = gradients
        columns = (gradient + gradient.transpose(1, 2))[..., : embedding.shape[-1]]
        columns = columns.to(embedding.dtype)
        slices = _slices(embedding, assignment, weight)
        gradient = torch.cat([(points @ columns) * share for points, share in slices], dim=1)
        return gradient, None, None


def _slices(
    embedding: Tensor, assignment: Tensor, weight: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Z (B, k, D + S) and W (B, k, 1), a slice of the points at a time."""
    slices = (t.split(POINTS_AT_ONCE, dim=1) for t in (embedding, assignment, weight))
    for v, y, w in zip(*slices, strict=True):
        yield torch.cat([v, y], dim=-1), w.unsqueeze(-1)
