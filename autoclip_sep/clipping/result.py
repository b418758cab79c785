"""What a clipper says about a step, and the errors it stops with."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class ClipResult(NamedTuple):
    """What was found and done in one step: 0-dim tensors on the gradients' device.

    Except `finite` after `clip_gradients`, which has read the norm: that one is on the host, so
    that ``if result.finite`` waits for nothing.

    norm: global L2 norm before clipping.
    threshold: what the global norm was clipped to; inf where no such limit applies.
    scale: global norm after / global norm before; exactly 1 when nothing changed.
    clipped: whether the clipper changed this step.
    finite: whether the norm was finite. If not, gradients and history were left alone and the
        optimizer step must be skipped.
    """

    norm: Tensor
    threshold: Tensor
    scale: Tensor
    clipped: Tensor
    finite: Tensor


class Clip(NamedTuple):
    """What a strategy did: numbers, or 0-dim tensors where knowing would cost a host read."""

    threshold: float | Tensor = math.inf
    scale: float | Tensor = 1.0
    clipped: bool | Tensor = False


class NegativeLoss(ValueError):
    """A loss below zero came to a clipper that was told there would be none."""


class NonFiniteGradients(RuntimeError):
    """The gradient norm was not finite for `max_nonfinite` steps in a row.

    names: the parameters whose gradients are not finite, by name where names were given.
    """

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


def describe(norm: Tensor, limit: Clip, *, finite: bool | Tensor) -> ClipResult:
    """The result of a step, on the norm's device; `finite` on the host where that knows it."""
    return ClipResult(
        norm,
        beside(norm, limit.threshold, norm.dtype),
        beside(norm, limit.scale, norm.dtype),
        beside(norm, limit.clipped, torch.bool),
        finite if isinstance(finite, Tensor) else torch.full((), finite, device="cpu"),
    )


def beside(norm: Tensor, value: float | bool | Tensor, dtype: torch.dtype) -> Tensor:
    """A number on the norm's device, without a copy from the host; inf where it is too large."""
    if isinstance(value, Tensor):
        return value.to(norm.device, dtype)
    if dtype.is_floating_point and value > torch.finfo(dtype).max:
        value = math.inf  # as a threshold may be in float32
    return norm.new_full((), value, dtype=dtype)
