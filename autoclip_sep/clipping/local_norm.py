"""Clipping by local norm: each tensor's gradient is clipped by its own norm.

The "local" clipping of Pascanu et al. (ICML 2013) as Keras' `clipnorm` has it. The direction of
the whole gradient changes where some tensors are clipped and others aren't.
"""

import math

from autoclip_sep.clipping._arguments import number, plain_text
from autoclip_sep.clipping.base import Clipper
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Limit


class LocalNormClipping(Clipper):
    """Scales each gradient whose own L2 norm exceeds `threshold` down to it.

    threshold: a positive number, in the unit of the gradients. It doesn't limit the global norm,
        so the result's `threshold` is inf.
    """

    if_none = "lower the threshold, unless it is there for rare spikes only"

    def __init__(self, threshold: float = 1.0, *, max_nonfinite: int = 10) -> None:
        super().__init__(max_nonfinite=max_nonfinite)
        self.threshold = number("threshold", threshold, 0, math.inf, open_low=True)

    @property
    def label(self) -> str:
        return f"local_norm_{plain_text(self.threshold)}{self._others('threshold')}"

    def _limit(self, gradients: Gradients, norm: float, norms: list[float]) -> Limit:
        return limit_each(gradients, norms, [self.threshold] * len(norms))


def limit_each(gradients: Gradients, norms: list[float], thresholds: list[float]) -> Limit:
    """Scales each gradient of a norm above its own threshold down to it; others stay as they are.

    norms, thresholds: one number for each gradient, in order.
    """
    above = [norm > limit for norm, limit in zip(norms, thresholds, strict=True)]
    if not any(above):
        return Limit()
    factors = [
        limit / norm if clip else 1.0
        for norm, limit, clip in zip(norms, thresholds, above, strict=True)
    ]
    gradients.scale_each(factors)
    after = math.hypot(*(norm * factor for norm, factor in zip(norms, factors, strict=True)))
    return Limit(scale=after / math.hypot(*norms), clipped=True)
