"""No clipping: gradients are only measured, and steps with a non-finite norm skipped."""

import math

from torch import Tensor

from autoclip_sep.clipping.base import Clipper
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Clip


class NoClipping(Clipper):
    """Leaves every gradient as it is; the same as AutoClip with percentile 100."""

    label_start = "none"

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        return Clip()

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> float:
        return math.inf
