"""What clippers with one fixed threshold share."""

import math
from typing import Unpack

from autoclip_sep.clipping._arguments import number
from autoclip_sep.clipping.base import Clipper, Options


class FixedThreshold(Clipper):
    """Keeps a threshold: a positive number, in the unit of the gradients."""

    if_none = "lower the threshold, unless it is there for rare spikes only"

    def __init__(self, threshold: float = 1.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.threshold = number("threshold", threshold, 0, math.inf, "()")
