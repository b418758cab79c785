"""A clipper attached to an optimizer, for training loops that one doesn't own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler, OptState
from torch.optim import Optimizer

from autoclip_sep.clipping.gradients import Gradients, Parameters, optimizer_parameters
from autoclip_sep.clipping.norms import global_norm, tensor_norms
from autoclip_sep.clipping.result import ClipResult


class Handle:
    """Limits gradients before each step of an optimizer, until removed.

    - A step whose norm isn't finite is skipped: every `.grad` is set to None, and torch's
      optimizers then do nothing, step counters included.
    - Scaled gradients are unscaled first, once: by the scaler itself in `scaler.step(optimizer)`;
      here where a fused optimizer would have done it inside its kernel; and here, if the scaler
      was given, where `optimizer.step()` is called on gradients that are still scaled. A step that
      the scaler skips doesn't reach the clipper.
    - The step by which torch.distributed.checkpoint has a new optimizer make its state, with
      gradients and learning rates of zero, doesn't reach the clipper either.
    - With `optimizer.step(closure)` the gradients are limited after each call of the closure.

    Parameters are taken in the optimizer's order and named where it was built from
    `model.named_parameters()`.
    """

    #: The result of the latest step that reached the clipper.
    last: ClipResult | None

    def __init__(
        self,
        limit: Callable[[Parameters], tuple[ClipResult, bool]],
        optimizer: Optimizer,
        scaler: GradScaler | None = None,
    ) -> None:
        self.last = None
        self._limit = limit
        self._scaler = scaler
        try:
            self._hook = optimizer.register_step_pre_hook(self._before_step)
        except AttributeError:  # Accelerate's is a torch optimizer by name only
            raise TypeError(
                f"{type(optimizer).__name__} only wraps an optimizer: attach to the one inside, "
                "before it is wrapped or as its .optimizer"
            ) from None

    def remove(self) -> None:
        """Leaves the optimizer as it was before; a second call does nothing."""
        self._hook.remove()

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        # `args` begins with the optimizer itself.
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            if not _only_makes_state(optimizer):
                self._clip(optimizer)
            return None

        def limited_closure() -> Any:
            loss = closure()
            self._clip(optimizer)
            return loss

        if "closure" in kwargs:
            return args, {**kwargs, "closure": limited_closure}
        return (args[0], limited_closure, *args[2:]), kwargs

    def _clip(self, optimizer: Optimizer) -> None:
        parameters = optimizer_parameters(optimizer)
        if self._unscale(optimizer):
            self.last, finite = self._limit(parameters)
            if finite:
                return
        # Also where the scaler skips in the kernel: torch's fused SGD would be left with momentum
        # buffers that nothing was ever written to, if it is the first step.
        for _, parameter in parameters:
            parameter.grad = None

    def _unscale(self, optimizer: Optimizer) -> bool:
        """Sees to it that gradients are unscaled; False where the scaler skips this step."""
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None:  # inside scaler.step of an optimizer that unscales by itself
            if found_inf:
                return False
            scale = getattr(optimizer, "grad_scale", None)
            if scale is not None:
                _divide(optimizer, scale)
                optimizer.grad_scale = None  # type: ignore[attr-defined]
        elif self._scaler is not None and self._scaler.is_enabled():
            _unscale_once(self._scaler, optimizer)
        return True


@torch.no_grad()
def _only_makes_state(optimizer: Optimizer) -> bool:
    if any(group.get("lr") != 0 for group in optimizer.param_groups):
        return False
    gradients = Gradients(optimizer_parameters(optimizer))
    # The norm of the whole, so that every rank of a sharded model comes to the same answer.
    return len(gradients) > 0 and bool(global_norm(tensor_norms(gradients)) == 0)


def _unscale_once(scaler: GradScaler, optimizer: Optimizer) -> None:
    # The stage has no public name; it says whether unscale_ has been called since the last update.
    if scaler._per_optimizer_states[id(optimizer)]["stage"] is OptState.READY:
        scaler.unscale_(optimizer)


@torch.no_grad()
def _divide(optimizer: Optimizer, scale: Tensor) -> None:
    inverse = scale.double().reciprocal().float()  # as the scaler does it
    for group in Gradients(optimizer_parameters(optimizer)).grouped():
        torch._foreach_mul_(group, inverse.to(group[0].device))
