"""The gradients of one optimizer step, gathered once."""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autoclip_sep.clipping.result import Clip

Parameters: TypeAlias = Tensor | Iterable[Tensor] | Iterable[tuple[str, Tensor]]


class Gradients:
    """The parameters that have a gradient, and those gradients as dense tensors to work on.

    parameters: those with a gradient of any size, each once however often it was given.
    names: each one's name, None where it was given without.
    last_weight: the position of the last parameter given with two axes or more, with a gradient or
        not; the number of parameters where there is none.
    positions: where each stood among all that were given; the key of whatever is remembered for
        each parameter, because it doesn't change when another one has no gradient for a step.
    whole: their gradients, made dense: the values of a sparse one (rows that occur twice are
        summed first), a real view of a complex one.
    groups: their indices in groups that one fused kernel can take together, in a fixed order.
    tensors: the same storage as `whole`; of a gradient that is sharded over processes (DTensor)
        the local part. Changing these in place changes the gradients.

    Raises TypeError for anything but parameters, (name, parameter) pairs or one parameter.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters: list[Tensor] = []
        self.whole: list[Tensor] = []
        self.tensors: list[Tensor] = []
        self.names: list[str | None] = []
        self.positions: list[int] = []
        given = [parameters] if isinstance(parameters, Tensor) else parameters
        if not isinstance(given, Iterable):
            raise TypeError(_advice(given))
        seen: set[int] = set()
        last_weight, position = None, -1
        for position, entry in enumerate(given):
            name, parameter = entry if isinstance(entry, tuple) else (None, entry)
            if not isinstance(parameter, Tensor) or _is_a_result(parameter):
                raise TypeError(_advice(parameter))
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if parameter.ndim > 1:
                last_weight = position
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.is_sparse or gradient.is_complex():
                gradient = _dense(parameter, gradient)
            if not gradient.numel():
                continue
            self.parameters.append(parameter)
            self.whole.append(gradient)
            self.tensors.append(local_part(gradient))
            self.names.append(name)
            self.positions.append(position)
        self.groups = alike(self.whole)
        self.last_weight = position + 1 if last_weight is None else last_weight

    def __len__(self) -> int:
        return len(self.whole)

    def only(self, indices: list[int]) -> "Gradients":
        """Those at some of the indices, as if the other parameters had no gradient."""
        part = copy.copy(self)
        for name in ("parameters", "whole", "tensors", "names", "positions"):
            setattr(part, name, [getattr(self, name)[index] for index in indices])
        part.groups = alike(part.whole)
        return part

    @property
    def device(self) -> torch.device:
        """Where results are put: the first gradient's device."""
        return self.tensors[0].device

    def name(self, index: int) -> str:
        """The parameter's name where it was given, else its position and shape."""
        shape = tuple(self.parameters[index].shape)
        return self.names[index] or f"parameter {self.positions[index]} of shape {shape}"

    def weights(self, index: int) -> Tensor:
        """The parameter's values in the shape of `whole`: of a sparse gradient its rows only."""
        parameter = self.parameters[index].detach()
        gradient = self.parameters[index].grad
        if gradient is not None and gradient.is_sparse:
            parameter = parameter[tuple(gradient._indices())]
        if parameter.is_complex():
            return torch.view_as_real(parameter.resolve_conj())
        return parameter

    def scale(self, factor: float) -> None:
        """Multiplies every gradient in place; a factor of exactly 1 touches nothing."""
        if factor != 1.0:
            for group in self.grouped():
                # On a CPU a tensor is twice as fast as a plain number, and isn't rounded to half
                # precision before it is used; elsewhere torch takes the number out of it.
                wide = torch.promote_types(group[0].dtype, torch.float32)
                torch._foreach_mul_(group, torch.full((), factor, dtype=wide, device="cpu"))

    def clip_norm(self, norm: float, threshold: float) -> Clip:
        """Scales all together to a global norm of `threshold` where theirs is above it."""
        if norm <= threshold:
            return Clip(threshold)
        scale = threshold / norm
        self.scale(scale)
        return Clip(threshold, scale, clipped=True)

    def clip_each(self, norms: list[float], thresholds: list[float]) -> Clip:
        """Scales each to its own threshold where its own norm is above it, in order."""
        factors = [min(most / norm, 1.0) for norm, most in zip(norms, thresholds, strict=True)]
        if all(factor == 1.0 for factor in factors):
            return Clip()
        self.scale_each(factors)
        after = math.hypot(*(norm * factor for norm, factor in zip(norms, factors, strict=True)))
        return Clip(scale=after / math.hypot(*norms), clipped=True)

    def scale_each(self, factors: list[float]) -> None:
        """Multiplies each gradient in place by its own factor, in order."""
        for group in self.groups:
            changed = [index for index in group if factors[index] != 1.0]
            if self.tensors[group[0]].device.type == "cpu":
                for index in changed:  # the fused kernel would round factors to half precision
                    self.tensors[index].mul_(factors[index])
            elif changed:
                tensors = [self.tensors[index] for index in changed]
                torch._foreach_mul_(tensors, [factors[index] for index in changed])

    def grouped(self) -> list[list[Tensor]]:
        """`tensors` by `groups`."""
        return [[self.tensors[index] for index in group] for group in self.groups]


def optimizer_parameters(optimizer: Optimizer) -> list[tuple[str, Tensor]]:
    """(name, parameter) of all groups, with an empty name where the optimizer knows none."""
    pairs: list[tuple[str, Tensor]] = []
    for group in optimizer.param_groups:
        names = group.get("param_names") or [""] * len(group["params"])
        pairs.extend(zip(names, group["params"], strict=True))
    return pairs


def refuse_fsdp1(parameters: Iterable[Tensor]) -> None:
    """Raises ValueError for parameters of FullyShardedDataParallel.

    Each process holds a flat piece of them without the whole, so each would clip by a norm of its
    own.
    """
    if any(getattr(parameter, "_fsdp_flattened", False) for parameter in parameters):
        raise ValueError(
            "parameters of FullyShardedDataParallel (FSDP1) can't be clipped, their norm is "
            "unknown to each process: use fully_shard (FSDP2)"
        )


def _is_a_result(tensor: Tensor) -> bool:
    """Whether a tensor can't be a parameter and was computed, as gradients are."""
    if isinstance(tensor, nn.Parameter):
        return False
    return not tensor.is_leaf if tensor.requires_grad else tensor.grad is None


def _advice(wrong: object) -> str:
    takes = "clip_gradients takes parameters or (name, parameter) pairs, not"
    if isinstance(wrong, Optimizer):
        return f"{takes} an optimizer: call attach(optimizer) once, or pass model.parameters()"
    if isinstance(wrong, nn.Module):
        return f"{takes} a network: pass model.named_parameters()"
    if isinstance(wrong, Tensor):
        return f"{takes} gradients: set each parameter's .grad and pass the parameters"
    return f"{takes} {type(wrong).__name__}"


def is_sharded(tensor: Any) -> bool:
    """Whether a tensor is a DTensor, without an import of torch.distributed."""
    return type(tensor) is not Tensor and hasattr(tensor, "full_tensor")


def local_part(tensor: Any) -> Tensor:
    """This rank's part of a DTensor; any other tensor as it is."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return part


def alike(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Indices of tensors that one fused kernel can take together, in a fixed order."""
    groups: dict[tuple[object, ...], list[int]] = {}
    tensor: Any
    for index, tensor in enumerate(tensors):
        layout = (tensor.device_mesh, tensor.placements) if is_sharded(tensor) else None
        groups.setdefault((tensor.device, tensor.dtype, layout), []).append(index)
    return list(groups.values())


def _dense(parameter: Tensor, gradient: Tensor) -> Tensor:
    if gradient.is_sparse:
        if not gradient.is_coalesced():
            parameter.grad = gradient = gradient.coalesce()
        gradient = gradient._values()
    if gradient.is_conj():
        parameter.grad = gradient = gradient.resolve_conj()
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient
