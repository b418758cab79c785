"""Sigmoid and normalisation of embeddings, whose intermediate results stay in a processor's cache.

Autograd keeps three tensors of the embedding's size and makes six more in its backward pass; what
a slice needs is made again instead.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

POINTS_AT_ONCE = {"cpu": 2**13}  # elsewhere as many as there are: a GPU wants few kernels
EPSILON = 1e-12  # that of functional.normalize


def unit_sigmoid(logits: Tensor) -> Tensor:
    """sigmoid(x) / ||sigmoid(x)|| over the last axis: (..., D) to (..., D)."""
    if logits.requires_grad and not torch.compiler.is_compiling():
        unit: Tensor = _UnitSigmoid.apply(logits)
        return unit
    return functional.normalize(logits.sigmoid(), dim=-1)


class _UnitSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits)
        unit = torch.empty_like(logits, memory_format=torch.contiguous_format)
        for x, part in zip(_slices(logits), _slices(unit), strict=True):
            sigmoid = torch.sigmoid(x, out=part)
            sigmoid.div_(_norm(sigmoid))
        return unit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (logits,), (gradient,) = ctx.saved_tensors, gradients
        if torch.is_grad_enabled():  # to be differentiated once more
            unit = functional.normalize(logits.sigmoid(), dim=-1)
            (result,) = torch.autograd.grad(unit, logits, gradient, create_graph=True)
            return result
        result = torch.empty_like(logits, memory_format=torch.contiguous_format)
        for x, of_unit, part in zip(*map(_slices, (logits, gradient, result)), strict=True):
            # With v = s / ||s||: ds = (dv - s <s, dv> / ||s||^2) / ||s||, dx = ds s (1 - s).
            sigmoid = x.sigmoid()
            norm = _norm(sigmoid)
            along = (sigmoid * of_unit).sum(dim=-1, keepdim=True).div_(norm.square())
            of_sigmoid = torch.addcmul(of_unit, sigmoid, along, value=-1).div_(norm)
            torch.mul(of_sigmoid, sigmoid.addcmul_(sigmoid, sigmoid, value=-1), out=part)
        return result


def _slices(points: Tensor) -> tuple[Tensor, ...]:
    """(..., D) to slices (k, D)."""
    at_once = POINTS_AT_ONCE.get(points.device.type, max(1, points.numel()))
    return points.reshape(-1, points.shape[-1]).split(at_once)


def _norm(points: Tensor) -> Tensor:
    return torch.linalg.vector_norm(points, dim=-1, keepdim=True).clamp_min_(EPSILON)
