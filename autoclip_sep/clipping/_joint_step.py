"""Several optimizers that step in turn after one backward pass."""

from typing import Any

from torch import Tensor

from autoclip_sep.clipping.gradients import optimizer_parameters
from autoclip_sep.clipping.norms import gradient_norm


class Round:
    """Which optimizers still have to step on the gradients that were clipped together.

    A round begins with the first step after a backward pass, ends when each optimizer has taken
    one, and has one decision for all.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Tensor] = {}
        self._goes_ahead = True

    def begin(self, optimizers: list[Any], first: Any, goes_ahead: bool) -> None:
        """Notes the decision, and the gradients of the others as they were clipped."""
        self._goes_ahead = goes_ahead
        self._waiting = {id(o): _norm(o) for o in optimizers if o is not first}

    def decided(self, optimizer: Any) -> bool | None:
        """The decision of the round that this step belongs to; None where it begins a new one.

        Raises RuntimeError where another optimizer's step of the round before is missing, and
        where gradients have changed since they were clipped.
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
