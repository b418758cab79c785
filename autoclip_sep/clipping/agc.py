"""AGC: each unit's gradient is limited relative to the norm of that unit's weights.

Brock, De, Smith, Simonyan: "High-Performance Large-Scale Image Recognition Without
Normalization", ICML 2021, arXiv:2102.06171, Eq. (3). The output layer is left alone, as there.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from autoclip_sep.clipping.arguments import number, plain_text
from autoclip_sep.clipping.base import Clipper
from autoclip_sep.clipping.gradients import Gradients, local_part
from autoclip_sep.clipping.norms import anywhere, global_norm, tensor_norms
from autoclip_sep.clipping.result import Limit


class AGC(Clipper):
    """Scales down each unit's gradient whose norm exceeds `ratio` times that of its weights.

    A unit is one output of a layer: the slices along a weight's first axis, as torch's linear,
    convolution and recurrent layers have them; biases and gains are one unit each.

    ratio: of gradient norm to weight norm; the paper's lambda, 0.01 there for batches of 4096.
        Smaller batches bear larger ones.
    epsilon: the least weight norm reckoned with, so that units that start at zero can move; 1e-3
        in the paper.
    exclude: beginnings of the names of parameters to leave alone; `limit_gradients` then needs
        (name, parameter) pairs. None leaves the output layer alone: the last weight given that has
        two axes or more, and what follows it.
    """

    if_none = "lower the ratio, unless it is there for rare spikes only"

    def __init__(
        self,
        ratio: float = 0.01,
        *,
        epsilon: float = 1e-3,
        exclude: Iterable[str] | None = None,
        max_nonfinite: int = 10,
    ) -> None:
        super().__init__(max_nonfinite=max_nonfinite)
        self.ratio = number("ratio", ratio, 0, math.inf, open_low=True)
        self.epsilon = number("epsilon", epsilon, 0, math.inf, open_low=True)
        if isinstance(exclude, str):
            raise ValueError(f"exclude must be a list of names, not one text: [{exclude!r}]")
        self.exclude = None if exclude is None else tuple(exclude)

    @property
    def label(self) -> str:
        return f"agc_{plain_text(self.ratio)}"

    def _limit(self, gradients: Gradients, norm: float, norms: list[float]) -> Limit:
        clipped = []
        for index, gradient in enumerate(gradients.whole):
            if self._excluded(gradients, index):
                continue
            one_unit = gradients.parameters[index].ndim < 2
            weights = _unit_norms(gradients.weights(index), one_unit)
            own = _unit_norms(gradient, one_unit)
            room = self.ratio * weights.clamp(min=self.epsilon)  # Eq. (3)
            above = own > room
            gradient.mul_(torch.where(above, room / own, 1.0).to(gradient.dtype))
            clipped.append(local_part(above).any())
        anything = anywhere(clipped, gradients)
        after = global_norm(tensor_norms(gradients))
        return Limit(scale=torch.where(anything, after / norm, 1.0), clipped=anything)

    def _excluded(self, gradients: Gradients, index: int) -> bool:
        if self.exclude is None:
            return gradients.positions[index] >= gradients.last_weight
        name = gradients.names[index]
        if not name and self.exclude:
            raise ValueError("AGC(exclude=...) needs limit_gradients(model.named_parameters())")
        return bool(name) and str(name).startswith(self.exclude)


def _unit_norms(tensor: Tensor, one_unit: bool) -> Tensor:
    """Norms of the slices along the first axis, or of the whole, every axis kept."""
    axes = tuple(range(0 if one_unit else 1, tensor.ndim))
    wide = torch.promote_types(tensor.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=axes or None, keepdim=True, dtype=wide)
    return norms
