"""Clipping by local norm: each tensor's gradient is clipped by its own norm.

The "local" clipping of Pascanu et al. (ICML 2013) as Keras' `clipnorm` has it. The direction of
the whole gradient changes where some tensors are clipped and others aren't.
"""

from autoclip_sep.clipping.base import FixedThreshold
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Clip


class LocalNormClipping(FixedThreshold):
    """Scales each gradient whose own L2 norm exceeds `threshold` down to it.

    threshold: a positive number, in the unit of the gradients; else ValueError. The global norm has
        none, so the result's `threshold` is inf.
    """

    label_start = "local_norm_{threshold}"

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        return gradients.clip_each(norms, [self.threshold] * len(norms))
