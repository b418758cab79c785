"""Clipping by value: each component of the gradient is clamped on its own.

As torch's `clip_grad_value_`. The direction of the gradient changes.
"""

import math

import torch
from torch import Tensor

from autoclip_sep.clipping.base import FixedThreshold
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.norms import clipped_where
from autoclip_sep.clipping.result import Clip


class ValueClipping(FixedThreshold):
    """Clamps every component of every gradient to [-threshold, threshold].

    threshold: a positive number, in the unit of the gradients; else ValueError. The global norm has
        none, so the result's `threshold` is inf.
    """

    label_start = "value_{threshold}"

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        above: list[Tensor] = []
        for group in gradients.grouped():
            # A shard may be empty, and the largest of nothing is an error.
            largest = torch._foreach_norm([part for part in group if part.numel()], math.inf)
            above.extend(value > self.threshold for value in largest)
            torch._foreach_clamp_max_(group, self.threshold)
            torch._foreach_clamp_min_(group, -self.threshold)
        return clipped_where(above, gradients, norm)
