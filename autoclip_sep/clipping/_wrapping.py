"""Optimizers in optimizers: SAM, Lookahead and others whose step() is more than the update."""

import copy
import weakref
from collections.abc import Callable
from typing import Any

import torch

from autoclip_sep.clipping._interception import intercept
from autoclip_sep.clipping.gradients import optimizer_parameters

# What SAM and its kin, Lookahead and its, and Schedule-Free's wrapper call the optimizer in them.
_INSIDE = ("base_optimizer", "optimizer", "base")


def layers(optimizer: Any) -> list[Any]:
    """The optimizer, the one wrapped in it, and so on to the one whose step is the update.

    Raises TypeError for what isn't an optimizer, for a framework's stand-in for one, for a sharded
    engine's, and where the optimizer inside has other parameters.
    """
    kind = type(optimizer).__name__
    if not callable(getattr(optimizer, "step", None)) or not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{kind} is no optimizer to attach to: it has no step() or param_groups")
    if isinstance(optimizer, torch.optim.Optimizer) and not hasattr(
        optimizer, "_optimizer_step_pre_hooks"
    ):  # Accelerate's and Lightning's are torch optimizers by name only
        raise TypeError(
            f"{kind} only wraps an optimizer: attach to the one inside, before it is wrapped or as "
            "its .optimizer"
        )
    for name in _INSIDE:
        inside = getattr(optimizer, name, None)
        if callable(getattr(inside, "step", None)) and hasattr(inside, "param_groups"):
            if name == "optimizer" and not isinstance(optimizer, torch.optim.Optimizer):
                # DeepSpeed's and Megatron's, of which each process steps a piece.
                raise TypeError(
                    f"{kind} is no torch.optim.Optimizer, and its gradients may be pieces of the "
                    "model's: use the clipping of the library it comes from"
                )
            if _parameters(inside) != _parameters(optimizer):
                raise TypeError(
                    f"{kind}.{name} steps other parameters than {kind} has: limit the gradients by "
                    f"clipper.clip_gradients before {kind}.step()"
                )
            return [optimizer, *layers(inside)]
    return [optimizer]


def _parameters(optimizer: Any) -> set[int]:
    return {id(parameter) for _, parameter in optimizer_parameters(optimizer)}


class Undoing:
    """Steps of wrappers, undone as a whole where the update in them is left out.

    A wrapper may have moved the weights before the update, and counts and averages after it. Also
    undone is what an error interrupts, as in the closure that SAM calls at its displaced weights.
    """

    def __init__(self, stack: list[Any]) -> None:
        self._stack = [weakref.ref(layer) for layer in stack]
        self._before: _Snapshot | None = None
        self._reached = self._left_out = False
        self._in_step = False
        around = {"step": self._step, "first_step": self._first, "second_step": self._second}
        self.removals = [
            intercept(wrapper, name, call)
            for wrapper in stack[:-1]
            for name, call in around.items()
            if hasattr(wrapper, name)
        ]

    def update(self, goes_ahead: bool) -> None:
        """The innermost optimizer was asked to step."""
        self._reached, self._left_out = True, not goes_ahead

    def _step(self, wrapper: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._in_step:  # a wrapper in a wrapper
            return step(*args, **kwargs)
        self._begin()
        self._in_step = True
        try:
            return self._end(wrapper, step, args, kwargs)
        finally:
            self._in_step = False

    # The halves of SAM's step, where a loop calls them by itself.
    def _first(self, wrapper: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if not self._in_step:
            self._begin()
        return step(*args, **kwargs)

    def _second(self, wrapper: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        whole = self._in_step or self._before is None
        return step(*args, **kwargs) if whole else self._end(wrapper, step, args, kwargs)

    def _begin(self) -> None:
        layers = [layer for reference in self._stack if (layer := reference()) is not None]
        self._before, self._reached, self._left_out = _Snapshot(layers), False, False

    def _end(self, wrapper: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        before, self._before = self._before, None
        assert before is not None
        try:
            result = step(*args, **kwargs)
            if not self._reached:
                raise RuntimeError(
                    f"{type(wrapper).__name__}.step() didn't call the step of the optimizer in it, "
                    "so nothing was clipped: call clipper.clip_gradients before it instead"
                )
        except BaseException:
            before.restore()
            raise
        if self._left_out:
            before.restore()
        return result


class _Snapshot:
    """Weights and all memory of optimizers that share them, to go back to."""

    def __init__(self, optimizers: list[Any]) -> None:
        self._parameters = [parameter for _, parameter in optimizer_parameters(optimizers[-1])]
        self._weights = [parameter.detach().clone() for parameter in self._parameters]
        # Copied with one memory: what two optimizers share, their copies share; and state stays
        # keyed by the parameters themselves.
        memo: dict[int, Any] = {id(parameter): parameter for parameter in self._parameters}
        self._memory = [(each, copy.deepcopy(_memory(each), memo)) for each in optimizers]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts everything back, bit for bit; good for one time."""
        for parameter, weights in zip(self._parameters, self._weights, strict=True):
            parameter.copy_(weights)
        for optimizer, memory in self._memory:
            vars(optimizer).update(memory)


def _memory(optimizer: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(optimizer).items()
        if name in ("state", "param_groups") or isinstance(value, bool | int | float)
    }
