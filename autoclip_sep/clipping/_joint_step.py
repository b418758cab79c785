"""What comes before a step: unscaling, and one decision for all optimizers of a backward pass."""

from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler, OptState

from autoclip_sep.clipping.gradients import Gradients, optimizer_parameters
from autoclip_sep.clipping.norms import gradient_norm


class JointStep:
    """Which optimizers still have to step on the gradients that were clipped together.

    A joint step begins with the first optimizer's step after a backward pass and ends when each
    has taken one.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Tensor] = {}
        self._goes_ahead = True

    def begin(self, optimizers: list[Any], first: Any, goes_ahead: bool) -> None:
        """Notes the decision, and the norms of the other optimizers' clipped gradients."""
        self._goes_ahead = goes_ahead
        self._waiting = {id(o): _norm(o) for o in optimizers if o is not first}

    def decision(self, optimizer: Any) -> bool | None:
        """Whether this optimizer's step goes ahead; None where it begins a new joint step.

        Raises RuntimeError where another optimizer's last step is missing, and where gradients
        have changed since they were clipped.
        """
        kind = type(optimizer).__name__
        if id(optimizer) in self._waiting:
            # By value: zero_grad() and a scaler's unscale_ don't always leave another trace.
            if self._waiting.pop(id(optimizer)).item() != _norm(optimizer).item():
                raise RuntimeError(
                    f"the gradients of {kind} changed after they were clipped with those of the "
                    "other optimizers: give attach the GradScaler if there is one, and call all "
                    "steps after one backward pass, then zero_grad()"
                )
            return self._goes_ahead
        if self._waiting:
            raise RuntimeError(
                f"a second step of {kind} before each optimizer attached with it has taken one: "
                "call the steps of all after each backward pass"
            )
        return None


def _norm(optimizer: Any) -> Tensor:
    return gradient_norm(optimizer_parameters(optimizer))


def unscale(optimizer: Any, stacks: list[list[Any]], scaler: GradScaler | None) -> bool:
    """Unscales the gradients of all optimizers, once; False where the scaler skips this step.

    optimizer: the one about to step, the innermost of its stack. stacks: of each optimizer itself
        and those wrapped in it, outermost first.

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
        # The scaler knows the stack by whichever of its optimizers it was given.
        if not by_itself and all(known[id(each)]["stage"] is OptState.READY for each in stack):
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
