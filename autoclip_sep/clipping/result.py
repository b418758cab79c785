"""What a clipper reports of a step, and the errors it stops with."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class ClipResult(NamedTuple):
    """What one step found and did: 0-dim tensors on the gradients' device.

    Except `finite` after `clip_gradients`, which has read the norm: that one is on the host, so
    that ``if result.finite`` waits for nothing.

    norm: global L2 norm before clipping.
    threshold: what the global norm was clipped to; inf where there is no such threshold.
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
    """What a clipper's `_clip` did: numbers, or 0-dim tensors where a number costs a host read.

    The fields are those of `ClipResult`.
    """

    threshold: float | Tensor = math.inf
    scale: float | Tensor = 1.0
    clipped: bool | Tensor = False


class NegativeLoss(ValueError):
    """A loss below zero in a clipper whose settings rule them out."""


class NonFiniteGradients(RuntimeError):
    """The gradient norm was non-finite for `max_nonfinite` steps in a row.

    names: the parameters whose gradients are non-finite, by name where names were given.
    """

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


def describe(norm: Tensor, clip: Clip, *, finite: bool | Tensor) -> ClipResult:
    """The result of a step, on the norm's device; `finite` on the host where that knows it."""
    return ClipResult(
        norm,
        on_device_of(norm, clip.threshold, norm.dtype),
        on_device_of(norm, clip.scale, norm.dtype),
        on_device_of(norm, clip.clipped, torch.bool),
        finite if isinstance(finite, Tensor) else torch.full((), finite, device="cpu"),
    )


def on_device_of(norm: Tensor, value: float | bool | Tensor, dtype: torch.dtype) -> Tensor:
    """A number on the norm's device, without a copy from the host; inf where it is too large."""
    if isinstance(value, Tensor):
        return value.to(norm.device, dtype)
    if dtype.is_floating_point and value > torch.finfo(dtype).max:
        value = math.inf  # as a threshold may be in float32
    return norm.new_full((), value, dtype=dtype)
