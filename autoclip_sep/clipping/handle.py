"""A clipper attached to an optimizer, for training loops that one doesn't own."""

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from autoclip_sep.clipping._joint_step import JointStep, unscale
from autoclip_sep.clipping._wrapping import UndoableStep, intercept, optimizer_stack
from autoclip_sep.clipping.gradients import Parameters, optimizer_parameters, refuse_fsdp1
from autoclip_sep.clipping.norms import gradient_norm
from autoclip_sep.clipping.result import Clip, ClipResult, describe

_HANDLES: weakref.WeakSet["Handle"] = weakref.WeakSet()


class Handle:
    """Clips gradients before each step of an optimizer, or of several together, until removed.

    - A step with a non-finite norm is skipped: `step()` returns before it has done anything, so
      weights, state and counters keep their bits in any optimizer. Every `.grad` is set to None.
    - Scaled gradients are unscaled first, once: by the scaler itself in `scaler.step(optimizer)`;
      here where a fused optimizer would have done it inside its kernel; and here, if the scaler
      was given, where `optimizer.step()` is called on gradients that are still scaled. A step that
      the scaler skips doesn't reach the clipper.
    - The step by which torch.distributed.checkpoint has a new optimizer make its state, with
      gradients and learning rates of zero, doesn't reach the clipper either.
    - In `optimizer.step(closure)` the gradients are clipped after the closure.
    - Where an optimizer wraps another one, as SAM and Lookahead do, the step of the innermost is
      the update: the gradient that it gets is the one that is clipped, and where it is skipped,
      whatever the wrapper did is undone, at the price of a copy of weights and state in each step.
    - Several optimizers have one norm, one entry in the history and one decision for each backward
      pass, after which each of them must be stepped once, in any order.

    Parameters are taken in the optimizer's order and named where it was built from
    `model.named_parameters()`.
    """

    #: The result of the latest step; non-finite, with a norm of NaN, where a scaler skipped it. If
    #: the scaler wasn't given, that is known of fused optimizers only.
    last: ClipResult | None

    def __init__(
        self,
        clip: Callable[[Parameters], ClipResult],
        optimizer: Optimizer | Sequence[Optimizer],
        scaler: GradScaler | None = None,
    ) -> None:
        given = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
        if not given:
            raise ValueError("attach takes an optimizer or a list of some, and this list is empty")
        stacks = [optimizer_stack(each) for each in given]
        self.last = None
        self._clip = clip
        self._scaler = scaler
        # Weakly, since they hold this handle: an optimizer's state goes as soon as it does.
        self._stacks = [[weakref.ref(each) for each in stack] for stack in stacks]
        self._refuse(stacks)
        self._joint_step = JointStep()
        self._in_step = False
        self._reached_by_scaler = False
        self._wrapper_step = UndoableStep(stacks[0])
        self._removals = self._wrapper_step.removals
        for stack in stacks:
            self._removals.append(intercept(stack[-1], "step", self._step))
            if hasattr(stack[-1], "register_step_pre_hook"):
                hook = stack[-1].register_step_pre_hook(self._before_held_step)
                self._removals.append(hook.remove)
        if scaler is not None:
            self._removals.append(intercept(scaler, "step", self._scaler_step))
        _HANDLES.add(self)

    def remove(self) -> None:
        """Leaves the optimizer as it was before; a second call does nothing."""
        while self._removals:
            self._removals.pop()()
        _HANDLES.discard(self)

    def _refuse(self, stacks: list[list[Any]]) -> None:
        parameters = [p for stack in stacks for _, p in optimizer_parameters(stack[-1])]
        refuse_fsdp1(parameters)
        if len(stacks) > 1 and any(len(stack) > 1 for stack in stacks):
            raise ValueError("one optimizer of several must not wrap another: attach to it alone")
        if len({id(parameter) for parameter in parameters}) < len(parameters):
            raise ValueError("two of the optimizers have the same parameters: attach to each once")
        for other in _HANDLES:
            attached = other._optimizers()
            if any(each is inner for stack in stacks for each in stack for inner in attached):
                raise ValueError(
                    "there is a clipper attached to this optimizer already: remove() its handle "
                    "first; it would clip what the other one leaves over"
                )
            if attached and other._clip == self._clip:
                raise ValueError(
                    "this clipper is attached to another optimizer already: attach it to a list of "
                    "both, or remove() its handle first"
                )

    def _optimizers(self) -> list[Any]:
        """Those whose steps are the update."""
        return [stack[-1] for stack in self._alive()]

    def _alive(self) -> list[list[Any]]:
        # Held while they are looked at: a collection may end an optimizer at any moment.
        stacks = [[each() for each in stack] for stack in self._stacks]
        return [
            [each for each in stack if each is not None]
            for stack in stacks
            if stack[-1] is not None
        ]

    def _step(self, optimizer: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """In place of the update's step()."""
        if self._in_step:
            return step(*args, **kwargs)
        closure = kwargs.get("closure", args[0] if args else None)
        self._in_step = True
        try:
            if closure is None:
                goes_ahead = _only_makes_state(optimizer) or self._goes_ahead(optimizer)
                return step(*args, **kwargs) if goes_ahead else None
            if len(self._stacks) > 1:
                raise ValueError(
                    f"{type(optimizer).__name__}.step(closure) has gradients for this step only, "
                    "not for all optimizers attached together: call backward() before the steps"
                )
            clipping_closure = _ClippingClosure(optimizer, closure, self._goes_ahead)
            if "closure" in kwargs:
                kwargs = {**kwargs, "closure": clipping_closure}
            else:
                args = (clipping_closure, *args[1:])
            try:
                return step(*args, **kwargs)
            except _StepSkipped:
                return clipping_closure.loss
        finally:
            self._in_step = False

    def _before_held_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """A step that was wrapped before the clipper was attached to it.

        As Accelerate does for its scaler in `prepare`. It can't be skipped, and torch's optimizers
        needn't be: without gradients they do nothing.
        """
        if self._in_step:
            return
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is not None or not type(optimizer).__module__.startswith("torch.optim"):
            raise RuntimeError(
                f"the step of this {type(optimizer).__name__} can't be skipped, since it was "
                "wrapped before the clipper was attached: attach first"
            )
        if not _only_makes_state(optimizer):
            self._goes_ahead(optimizer)

    def _scaler_step(self, scaler: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """In place of scaler.step()."""
        optimizer = kwargs.get("optimizer", args[0] if args else None)
        self._reached_by_scaler = False
        result = step(*args, **kwargs)
        own = any(each is optimizer for stack in self._alive() for each in stack)
        if own and not self._reached_by_scaler:
            self.last = self._skipped_by_scaler()
        return result

    def _skipped_by_scaler(self) -> ClipResult:
        (_, parameter), *_ = optimizer_parameters(self._optimizers()[0])
        norm = torch.full((), math.nan, device=parameter.device)
        return describe(norm, Clip(), finite=False)

    def _goes_ahead(self, optimizer: Any) -> bool:
        """Clips the gradients, once for all optimizers; whether the step is taken."""
        self._reached_by_scaler = True
        goes_ahead = self._joint_step.decision(optimizer)
        if goes_ahead is None:
            optimizers = self._optimizers()
            parameters = [pair for each in optimizers for pair in optimizer_parameters(each)]
            unscaled = unscale(optimizer, self._alive(), self._scaler)
            self.last = self._clip(parameters) if unscaled else self._skipped_by_scaler()
            goes_ahead = bool(self.last.finite)
            if not goes_ahead:
                for _, parameter in parameters:
                    parameter.grad = None
            if unscaled:  # else the scaler skips some of the steps itself
                self._joint_step.begin(optimizers, optimizer, goes_ahead)
        self._wrapper_step.note_update(skipped=not goes_ahead)
        return goes_ahead


class _StepSkipped(BaseException):
    """Ends a step from within its closure; no handler of errors is to hold it up."""


class _ClippingClosure:
    """A closure and then the clip. Raises _StepSkipped where the step isn't taken.

    Raises ValueError where the optimizer moves the weights before it calls it, or calls it twice.
    """

    def __init__(
        self, optimizer: Any, closure: Callable[[], Any], goes_ahead: Callable[[Any], bool]
    ) -> None:
        self.loss: Any = None
        self._optimizer, self._closure, self._goes_ahead = optimizer, closure, goes_ahead
        self._versions: list[int] | None = self._present_versions()

    def __call__(self) -> Any:
        if self._present_versions() != self._versions:
            raise ValueError(
                f"{type(self._optimizer).__name__} moves the weights before it calls its closure, "
                "or calls it twice, so no step of it can be skipped: remove() the handle, and call "
                "clipper.clip_gradients at the end of the closure"
            )
        self._versions = None
        self.loss = self._closure()
        if not self._goes_ahead(self._optimizer):
            raise _StepSkipped
        return self.loss

    def _present_versions(self) -> list[int]:
        return [parameter._version for _, parameter in optimizer_parameters(self._optimizer)]


def _only_makes_state(optimizer: Any) -> bool:
    if any(group.get("lr") != 0 for group in optimizer.param_groups):
        return False
    parameters = optimizer_parameters(optimizer)
    # The norm of the whole, so that every rank of a sharded model comes to the same answer.
    norm = gradient_norm(parameters)
    return any(one.grad is not None for _, one in parameters) and bool(norm == 0)
