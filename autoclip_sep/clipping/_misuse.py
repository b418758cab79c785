"""Signs that a clipper is used in a way that can't do what was meant."""

import logging

from torch import Tensor

from autoclip_sep.clipping.gradients import Gradients, refuse_fsdp1

logger = logging.getLogger(__name__)

LONG = 1000  # steps


class Usage:
    """What a clipper has seen of its own use; says each thing once, in one line of the log.

    if_all: what to do where a fixed setting clipped each of 1000 steps; if_none: where it clipped
        none of its first 1000. None where that is as it should be.
    """

    def __init__(self, if_all: str | None, if_none: str | None) -> None:
        self._if_all, self._if_none = if_all, if_none
        self._checked = self._missing = False
        self._steps = 0
        self._clipped: int | Tensor = 0

    def gathered(self, gradients: Gradients) -> None:
        """Raises ValueError, at the first step, where the gradients' norm can't be known."""
        missing = not len(gradients)
        if missing and not self._missing:
            logger.warning(
                "no parameter has a gradient, nothing is clipped: clip gradients between "
                "loss.backward() and zero_grad(), of the parameters that are trained"
            )
        self._missing = missing
        if not missing and not self._checked:
            refuse_fsdp1(gradients.parameters)
            self._checked = True

    def limited(self, clipped: bool | Tensor) -> str | None:
        """Takes in one finite step and says what is odd about the last 1000, if anything is.

        A flag on the device is read with the last of them only.
        """
        if self._if_all is None and self._if_none is None:
            return None
        self._steps += 1
        self._clipped = self._clipped + clipped
        if self._steps < LONG:
            return None
        found, advice = int(self._clipped), None
        if found == LONG and self._if_all is not None:
            advice = f"clipped each of the last {LONG} steps: {self._if_all}"
            self._if_all = None
        elif found == 0 and self._if_none is not None:
            advice = f"clipped none of the first {LONG} steps: {self._if_none}"
        self._if_none = None
        self._steps = self._clipped = 0
        return advice
