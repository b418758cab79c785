"""Warnings about a clipper that is used in a way that can't do what was meant."""

import logging

from torch import Tensor

from autoclip_sep.clipping.gradients import Gradients, refuse_fsdp1

logger = logging.getLogger(__name__)

PERIOD = 1000  # steps


class MisuseWarnings:
    """Watches how one clipper is used; warns of each mistake once, in one line of the log.

    if_all: advice for a fixed setting that clipped each of the last 1000 steps; if_none: for one
        that clipped none of the first 1000. None where that is intended.
    """

    def __init__(self, if_all: str | None, if_none: str | None) -> None:
        self._if_all, self._if_none = if_all, if_none
        self._fsdp1_ruled_out = self._missing = False
        self._steps = 0
        self._clipped: int | Tensor = 0

    def check(self, gradients: Gradients) -> None:
        """Warns where there are none; raises ValueError, in the first step, under FSDP1."""
        missing = not len(gradients)
        if missing and not self._missing:
            logger.warning(
                "no parameter has a gradient, nothing is clipped: clip gradients between "
                "loss.backward() and zero_grad(), of the parameters that are trained"
            )
        self._missing = missing
        if not missing and not self._fsdp1_ruled_out:
            refuse_fsdp1(gradients.parameters)
            self._fsdp1_ruled_out = True

    def advice(self, clipped: bool | Tensor) -> str | None:
        """Counts one finite step; after every 1000, what to change about the setting, if anything.

        A flag on the device isn't read before then.
        """
        if self._if_all is None and self._if_none is None:
            return None
        self._steps += 1
        self._clipped = self._clipped + clipped
        if self._steps < PERIOD:
            return None
        found, advice = int(self._clipped), None
        if found == PERIOD and self._if_all is not None:
            advice = f"clipped each of the last {PERIOD} steps: {self._if_all}"
            self._if_all = None
        elif found == 0 and self._if_none is not None:
            advice = f"clipped none of the first {PERIOD} steps: {self._if_none}"
        self._if_none = None
        self._steps = self._clipped = 0
        return advice
