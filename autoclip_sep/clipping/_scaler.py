"""Gradients that a GradScaler has scaled, and has or hasn't unscaled yet."""

from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler, OptState

from autoclip_sep.clipping.gradients import Gradients, optimizer_parameters


def unscale(optimizer: Any, stacks: list[list[Any]], scaler: GradScaler | None) -> bool:
    """Unscales the gradients of all optimizers, once; False where the scaler skips this step.

    stacks: each optimizer with those that wrap it, outermost first. optimizer: the innermost of
    one, which is about to step.

    Raises RuntimeError where only one of several is known to be scaled: there is a scaler that
    wasn't given.
    """
    found_inf = getattr(optimizer, "found_inf", None)
    if found_inf is not None:  # inside scaler.step of an optimizer that unscales by itself
        if scaler is None and len(stacks) > 1:
            raise RuntimeError(
                "the gradients of the other optimizers are still scaled: give the scaler, as in "
                "clipper.attach(optimizers, scaler)"
            )
        if found_inf:
            return False
        scale = getattr(optimizer, "grad_scale", None)
        if scale is not None:
            _divide(optimizer, scale)
            optimizer.grad_scale = None
    if scaler is None or not scaler.is_enabled():
        return True
    # Neither the stage nor what was found has a public name.
    known = scaler._per_optimizer_states
    for stack in stacks:
        by_itself = found_inf is not None and stack[-1] is optimizer
        # Under the name of whichever layer.
        if not by_itself and all(known[id(layer)]["stage"] is OptState.READY for layer in stack):
            scaler.unscale_(stack[0])
    if len(stacks) == 1:
        return True
    found = [known[id(stack[-1])]["found_inf_per_device"].values() for stack in stacks]
    return not any(inf for each in found for inf in each)


@torch.no_grad()
def _divide(optimizer: Any, scale: Tensor) -> None:
    inverse = scale.double().reciprocal().float()  # as the scaler does it
    for group in Gradients(optimizer_parameters(optimizer)).grouped():
        torch._foreach_mul_(group, inverse.to(group[0].device))
