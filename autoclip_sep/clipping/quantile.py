"""Quantile clipping: the threshold follows a percentile of the norms by steps, without a history.

Andrew, Thakkar, McMahan, Ramaswamy: "Differentially Private Learning with Adaptive Clipping",
NeurIPS 2021, arXiv:1905.03871, geometric update, with one norm a step and without noise. The
difference to the paper: no first threshold has to be known, it is the first norm.
"""

import math
from typing import Unpack

from autoclip_sep.clipping._arguments import number
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import unpack
from autoclip_sep.clipping.result import Clip


class QuantileClipping(Clipper):
    """Clips the global norm to a threshold C; then C <- C exp(-rate (1[norm <= C] - p / 100)).

    What AutoClip takes from all norms so far this follows in one number. It forgets, and keeps up
    where norms drift; AutoClip averages over everything, and is steadier. Over n norms the share
    that was not above C differs from p / 100 by |log(C_n / C_0)| / (rate n), exactly.

    percentile: p, strictly between 0 and 100.
    rate: the paper's eta, 0.2 there. A norm above C raises it by a factor of exp(rate p / 100), one
        below lowers it by exp(-rate (1 - p / 100)).
    start: the first C, in the unit of the gradients; None takes the first norm.

    Raises ValueError for other settings.
    """

    label_start = "quantile_p{percentile}"

    def __init__(
        self,
        percentile: float = 10.0,
        *,
        rate: float = 0.2,
        start: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.percentile = number("percentile", percentile, 0, 100, "()")
        self.rate = number("rate", rate, 0, math.inf, "()")
        self.start = None if start is None else number("start", start, 0, math.inf, "()")
        self._threshold = self.start

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        threshold = norm if self._threshold is None else self._threshold
        above = norm > threshold
        exponent = self.rate * (self.percentile / 100 - (not above))
        # Within what float64 holds, where a rate far too large would leave it.
        self._threshold = min(max(threshold * math.exp(exponent), 1e-300), 1e300)
        return gradients.clip_norm(norm, threshold)

    def _state(self) -> State:
        """threshold: of the next step; none before the first one."""
        return {"threshold": [] if self._threshold is None else [self._threshold]}

    def _load(self, state: State) -> None:
        row = unpack("a quantile's threshold", state["threshold"])
        if len(row) > 1:
            raise ValueError("a quantile's threshold must be one number, or none yet")
        found = [number("threshold", value, 0, math.inf, "()") for value in row]
        self._threshold = found[0] if found else self.start
