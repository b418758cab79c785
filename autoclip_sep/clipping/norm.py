"""Clipping by a fixed global norm.

Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", ICML 2013,
Algorithm 1. Like there, and unlike torch's `clip_grad_norm_`, no epsilon is added to the norm.
"""

from torch import Tensor

from autoclip_sep.clipping.base import FixedThreshold
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Clip


class NormClipping(FixedThreshold):
    """Scales all gradients together so that their global L2 norm is `threshold` at most.

    threshold: a positive number, in the unit of the gradients; else ValueError.
    """

    label_start = "norm_{threshold}"
    if_all = "it acts as a learning rate; raise the threshold, or let AutoClip follow the norms"

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        return gradients.clip_norm(norm, self.threshold)

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> float:
        return self.threshold
