"""AGC: each unit's gradient is clipped relative to the norm of that unit's weights.

Brock, De, Smith, Simonyan: "High-Performance Large-Scale Image Recognition Without
Normalization", ICML 2021, arXiv:2102.06171, Eq. (3). The output layer is left alone, as there.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Unpack

import torch
from torch import Tensor, nn

from autoclip_sep.clipping._arguments import integer, number
from autoclip_sep.clipping.base import Clipper, Options
from autoclip_sep.clipping.gradients import Gradients, local_part
from autoclip_sep.clipping.norms import LARGE, clipped_where, wide
from autoclip_sep.clipping.result import Clip

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class AGC(Clipper):
    """Scales down each unit's gradient whose norm exceeds `ratio` times that of its weights.

    A unit is one output of a layer: the slices along a weight's first axis, as torch's linear,
    convolution and recurrent layers have them; biases and gains are one unit each. A transposed
    convolution's weight is (inputs, outputs / groups, ...), which the tensor doesn't show: its
    units are the slices along the second axis, within each group, if `transposed` names it, else
    those of its inputs.

    ratio: of gradient norm to weight norm; the paper's lambda, 0.01 there for batches of 4096.
        Smaller batches tolerate larger ones.
    epsilon: lower bound of the weight norms, so that units that start at zero can move; 1e-3
        in the paper.
    exclude: prefixes of the names of parameters to leave alone; `clip_gradients` then needs
        (name, parameter) pairs. None leaves the output layer alone: the last weight given that has
        two axes or more, and what follows it.
    transposed: prefixes of the names of transposed convolutions, each with its number of groups,
        as `AGC.transposed_in(model)` finds them; names are needed as for `exclude`.

    Raises ValueError for other settings, and in `clip_gradients` where needed names are missing.
    """

    label_start = "agc_{ratio}"
    if_none = "lower the ratio, unless it is there for rare spikes only"

    def __init__(
        self,
        ratio: float = 0.01,
        *,
        epsilon: float = 1e-3,
        exclude: Iterable[str] | None = None,
        transposed: Mapping[str, int] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.ratio = number("ratio", ratio, 0, math.inf, "()")
        self.epsilon = number("epsilon", epsilon, 0, math.inf, "()")
        if isinstance(exclude, str):
            raise ValueError(f"exclude must be a list of names, not one string: [{exclude!r}]")
        self.exclude = None if exclude is None else tuple(exclude)
        given = dict(transposed or {}).items()  # a network without any is the default
        self.transposed = {name: integer("transposed", n, 1) for name, n in given} or None

    @staticmethod
    def transposed_in(model: nn.Module) -> dict[str, int]:
        """The transposed convolutions in a network: prefixes of names, and numbers of groups."""
        return {
            f"{name}." if name else "": layer.groups
            for name, layer in model.named_modules()
            if isinstance(layer, _TRANSPOSED)
        }

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        clipped = []
        for index, gradient in enumerate(gradients.whole):
            if self._excluded(gradients, index):
                continue
            dtype = torch.promote_types(gradient.dtype, torch.float32)
            if norm > LARGE:
                dtype = wide(gradient.device)
            groups = self._groups(gradients, index)
            weights = _unit_norms(gradients.weights(index), groups, dtype)
            own = _unit_norms(gradient, groups, dtype)
            room = self.ratio * weights.clamp(min=self.epsilon)  # Eq. (3)
            above = own > room
            gradient.mul_(torch.where(above, room / own, 1.0).to(gradient.dtype))
            clipped.append(local_part(above).any())
        return clipped_where(clipped, gradients, norm)

    def _excluded(self, gradients: Gradients, index: int) -> bool:
        if self.exclude is None:
            return gradients.positions[index] >= gradients.last_weight
        return bool(self.exclude) and self._name(gradients, index).startswith(self.exclude)

    def _groups(self, gradients: Gradients, index: int) -> int | None:
        """Of a transposed convolution; 0 for other weights, None where all is one unit."""
        parameter = gradients.parameters[index]
        if parameter.ndim < 2:
            return None
        if self.transposed:
            name = self._name(gradients, index)
            for prefix, groups in self.transposed.items():
                if name.startswith(prefix):
                    if len(parameter) % groups:
                        raise ValueError(
                            f"AGC(transposed=...) gives {name} {groups} groups, which don't "
                            f"divide its {len(parameter)} inputs"
                        )
                    return groups
        return 0

    def _name(self, gradients: Gradients, index: int) -> str:
        name = gradients.names[index]
        if not name:
            raise ValueError(
                "AGC with exclude or transposed needs clip_gradients(model.named_parameters())"
            )
        return name


def _unit_norms(tensor: Tensor, groups: int | None, dtype: torch.dtype) -> Tensor:
    """Norms of the units, of the tensor's number of axes, to be broadcast to its shape."""
    axes = range(tensor.ndim)
    if groups is None:
        return _norm(tensor, axes, dtype)
    if groups == 0:
        return _norm(tensor, axes[1:], dtype)
    if groups == 1:
        return _norm(tensor, (0, *axes[2:]), dtype)
    split = _norm(tensor.unflatten(0, (groups, -1)), (1, *range(3, tensor.ndim + 1)), dtype)
    return split.repeat_interleave(len(tensor) // groups, dim=1).flatten(0, 1)


def _norm(tensor: Tensor, axes: Iterable[int], dtype: torch.dtype) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=tuple(axes), keepdim=True, dtype=dtype)
    return norms
