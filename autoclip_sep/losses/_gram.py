"""The single pass over all time-frequency points of deep clustering and whitened k-means.

Both losses are functions of V^T W V, V^T W Y and Y^T W Y, small matrices, so the K x K affinities
of the equations are never computed. The derivative of these products is written in closed form:
it keeps only the inputs in memory and is several times faster than autograd's.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Of all examples together: a slice in float64 fits a processor's cache; a GPU wants few kernels.
POINTS_AT_ONCE = {"cpu": 2**14}
MOST_AT_ONCE = 2**20


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
            rooted = points.double().mul_(share.double().sqrt())
            gram.baddbmm_(rooted.transpose(1, 2), rooted)
        return gram

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        embedding, assignment, weight = ctx.saved_tensors
        # d(Z^T W Z) = dZ^T W Z + Z^T W dZ, so the gradient is W Z (G + G^T), its V columns.
        (gradient,) = gradients
        columns = (gradient + gradient.transpose(1, 2))[..., : embedding.shape[-1]]
        columns = columns.to(embedding.dtype)
        slices = _slices(embedding, assignment, weight)
        if torch.is_grad_enabled():  # to be differentiated once more
            gradient = torch.cat([(points @ columns) * share for points, share in slices], dim=1)
            return gradient, None, None
        gradient = torch.empty_like(embedding, memory_format=torch.contiguous_format)
        first = 0
        for points, share in slices:
            part = gradient[:, first : first + points.shape[1]]
            torch.mul(points @ columns, share, out=part)
            first += points.shape[1]
        return gradient, None, None


def _slices(
    embedding: Tensor, assignment: Tensor, weight: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Z (B, k, D + S) and W (B, k, 1), a slice of the points at a time."""
    at_once = max(1, POINTS_AT_ONCE.get(embedding.device.type, MOST_AT_ONCE) // len(embedding))
    slices = (t.split(at_once, dim=1) for t in (embedding, assignment, weight))
    for v, y, w in zip(*slices, strict=True):
        yield torch.cat([v, y], dim=-1), w.unsqueeze(-1)
