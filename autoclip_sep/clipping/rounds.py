"""Several optimizers that step in turn after one backward pass."""

from typing import Any

from torch import Tensor

from autoclip_sep.clipping.gradients import optimizer_parameters


class Round:
    """Which optimizers still have to step on the gradients that were limited together.

    A round begins with the first step after a backward pass, ends when each optimizer has taken
    one, and has one decision for all.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, list[tuple[Tensor | None, int]]] = {}
        self._goes_ahead = True

    def begin(self, optimizers: list[Any], first: Any, goes_ahead: bool) -> None:
        """Notes the decision, and the gradients as they were limited."""
        self._goes_ahead = goes_ahead
        self._waiting = {id(o): _gradients(o) for o in optimizers if o is not first}

    def decided(self, optimizer: Any) -> bool | None:
        """The decision of the round that this step belongs to; None where it begins a new one.

        Raises RuntimeError where another optimizer's step of the round before is missing, and
        where gradients have changed since they were limited.
        """
        kind = type(optimizer).__name__
        if id(optimizer) in self._waiting:
            noted, now = self._waiting.pop(id(optimizer)), _gradients(optimizer)
            pairs = zip(noted, now, strict=False)
            if len(noted) != len(now) or any(a is not b or m != n for (a, m), (b, n) in pairs):
                raise RuntimeError(
                    f"the gradients of {kind} changed after they were limited with those of the "
                    "other optimizers: call all steps after one backward pass, then zero_grad()"
                )
            return self._goes_ahead
        if self._waiting:
            raise RuntimeError(
                f"a second step of {kind} before each optimizer attached with it has taken one: "
                "call the steps of all after each backward pass"
            )
        return None


def _gradients(optimizer: Any) -> list[tuple[Tensor | None, int]]:
    gradients = [parameter.grad for _, parameter in optimizer_parameters(optimizer)]
    return [(g, -1 if g is None else g._version) for g in gradients]
