"""Clipping by a fixed global norm.

Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", ICML 2013,
Algorithm 1. Like there, and unlike torch's `clip_grad_norm_`, no epsilon is added to the norm.
"""

import math

import torch
from torch import Tensor

from autoclip_sep.clipping._arguments import number, plain_text
from autoclip_sep.clipping.base import Clipper
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Limit


class NormClipping(Clipper):
    """Scales all gradients together so that their global L2 norm is `threshold` at most.

    threshold: a positive number, in the unit of the gradients.
    """

    if_all = (
        "it works like a learning rate then; raise the threshold, or let AutoClip follow the norms"
    )
    if_none = "lower the threshold, unless it is there for rare spikes only"

    def __init__(self, threshold: float = 1.0, *, max_nonfinite: int = 10) -> None:
        super().__init__(max_nonfinite=max_nonfinite)
        self.threshold = number("threshold", threshold, 0, math.inf, open_low=True)

    @property
    def label(self) -> str:
        return f"norm_{plain_text(self.threshold)}{self._others('threshold')}"

    def _limit(self, gradients: Gradients, norm: float, norms: list[float]) -> Limit:
        return limit_norm(gradients, norm, self.threshold)

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> Tensor:
        return torch.full_like(norm, self.threshold)


def limit_norm(gradients: Gradients, norm: float, threshold: float) -> Limit:
    """Scales gradients of a global norm above the threshold down to it; others stay as they are."""
    if norm <= threshold:
        return Limit(threshold)
    scale = threshold / norm
    gradients.scale(scale)
    return Limit(threshold, scale, clipped=True)
