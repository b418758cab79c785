"""Taking over step(), also of optimizers that wrap another one, as SAM and Lookahead do."""

import copy
import weakref
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NoReturn, TypeAlias

import torch

from autoclip_sep.clipping.gradients import optimizer_parameters

#: Called as (the object, its original method, positional, keyword arguments).
Replacement: TypeAlias = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

# What SAM and its kin, Lookahead and its, and Schedule-Free's wrapper call the optimizer in them.
_INSIDE = ("base_optimizer", "optimizer", "base")


def intercept(target: Any, name: str, replacement: Replacement) -> Callable[[], None]:
    """Has `replacement` called in place of an object's method, until what is returned is called.

    On the instance, as torch's schedulers do it: a step hook can't skip the step. Both kinds of
    patches may lie on one another in any order, and be removed in any other. Meanwhile the object
    refuses to be copied and pickled: its copy would lose the patch.
    """
    before = vars(target).get(name)
    method = getattr(type(target), name)
    reference = weakref.ref(target)  # no circle: an optimizer's state goes as soon as it does

    def taken_over(self: Any, *args: Any, **kwargs: Any) -> Any:
        original = partial(method, self) if before is None else before
        if patch.inert:
            return original(*args, **kwargs)
        return replacement(self, original, args, kwargs)

    @wraps(method if before is None else before)
    def bound(*args: Any, **kwargs: Any) -> Any:
        return taken_over(reference(), *args, **kwargs)

    patch: Any = bound
    patch.inert, patch.before = False, before
    patch.__func__ = taken_over  # what torch's schedulers patch
    setattr(target, name, patch)
    target.__reduce_ex__ = partial(_refuse_to_copy, type(target).__name__)

    def remove() -> None:
        patch.inert = True  # another patch may lie on top: then it stays, and passes through
        if (target := reference()) is None:
            return
        own = vars(target)
        while getattr(own.get(name), "inert", False):
            below = own.pop(name).before
            if below is not None:
                own[name] = below
        if not hasattr(own.get(name), "inert"):
            own.pop("__reduce_ex__", None)

    return remove


def is_intercepted(target: Any, name: str) -> bool:
    """Whether calls of this method are taken over at present."""
    return not getattr(vars(target).get(name), "inert", True)


def _refuse_to_copy(kind: str, protocol: object) -> NoReturn:
    raise TypeError(
        f"a copy of this {kind} would lose the clipper attached to it: save state_dict(), or "
        "remove() the handle, copy, and attach to both"
    )


def optimizer_stack(optimizer: Any) -> list[Any]:
    """The optimizer, the one wrapped in it, and so on to the one whose step is the update.

    Raises TypeError for what isn't an optimizer, for a framework's stand-in for one, for a sharded
    engine's, and where the optimizer inside has other parameters.
    """
    kind = type(optimizer).__name__
    if not _is_optimizer(optimizer):
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
        if not _is_optimizer(inside):
            continue
        if name == "optimizer" and not isinstance(optimizer, torch.optim.Optimizer):
            # DeepSpeed's and Megatron's, of which each process steps a piece.
            raise TypeError(
                f"{kind} is no torch.optim.Optimizer, and its gradients may be pieces of the "
                "model's: use the clipping of the library it comes from"
            )
        if _parameter_ids(inside) != _parameter_ids(optimizer):
            raise TypeError(
                f"{kind}.{name} steps other parameters than {kind} has: clip the gradients by "
                f"clipper.clip_gradients before {kind}.step()"
            )
        return [optimizer, *optimizer_stack(inside)]
    return [optimizer]


def _is_optimizer(value: Any) -> bool:
    return callable(getattr(value, "step", None)) and hasattr(value, "param_groups")


def _parameter_ids(optimizer: Any) -> set[int]:
    return {id(parameter) for _, parameter in optimizer_parameters(optimizer)}


class UndoableStep:
    """Steps of wrappers, undone as a whole where the update in them is skipped.

    A wrapper may have moved the weights before the update, and counts and averages after it. Also
    undone is what an error interrupts, as in the closure that SAM calls at its displaced weights.

    stack: as `optimizer_stack` gives it. removals: calls that leave the wrappers as they were.
    """

    def __init__(self, stack: list[Any]) -> None:
        self._stack = [weakref.ref(optimizer) for optimizer in stack]
        self._before: _Snapshot | None = None
        self._updated = self._skipped = False
        self._in_step = False
        replacements = {"step": self._step, "first_step": self._first, "second_step": self._second}
        self.removals = [
            intercept(wrapper, name, replacement)
            for wrapper in stack[:-1]
            for name, replacement in replacements.items()
            if hasattr(wrapper, name)
        ]

    def note_update(self, skipped: bool) -> None:
        """The step of the innermost optimizer was called, and is skipped or not."""
        self._updated, self._skipped = True, skipped

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
        alive = [each for reference in self._stack if (each := reference()) is not None]
        self._before, self._updated, self._skipped = _Snapshot(alive), False, False

    def _end(self, wrapper: Any, step: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        before, self._before = self._before, None
        assert before is not None
        try:
            result = step(*args, **kwargs)
            if not self._updated:
                raise RuntimeError(
                    f"{type(wrapper).__name__}.step() didn't call the step of the optimizer in it, "
                    "so nothing was clipped: call clipper.clip_gradients before it instead"
                )
        except BaseException:
            before.restore()
            raise
        if self._skipped:
            before.restore()
        return result


class _Snapshot:
    """Weights and all state of optimizers that share them, to go back to."""

    def __init__(self, optimizers: list[Any]) -> None:
        self._parameters = [parameter for _, parameter in optimizer_parameters(optimizers[-1])]
        self._weights = [parameter.detach().clone() for parameter in self._parameters]
        # One memo for all: what two optimizers share, their copies share; and state stays keyed
        # by the parameters themselves.
        memo: dict[int, Any] = {id(parameter): parameter for parameter in self._parameters}
        self._states = [(each, copy.deepcopy(_state(each), memo)) for each in optimizers]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts everything back, bit for bit; works once."""
        for parameter, weights in zip(self._parameters, self._weights, strict=True):
            parameter.copy_(weights)
        for optimizer, state in self._states:
            vars(optimizer).update(state)


def _state(optimizer: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(optimizer).items()
        if name in ("state", "param_groups") or isinstance(value, bool | int | float)
    }
