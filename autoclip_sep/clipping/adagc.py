"""AdaGC: each tensor's gradient is clipped relative to a running mean of its own clipped norms.

Wang, Li, Chen, Zeng, Yang, Yu, Ma, Shen: "AdaGC: Enhancing LLM Pretraining Stability via Adaptive
Gradient Clipping", ICML 2026, arXiv:2502.11034, Algorithm 1. One deliberate difference: a norm of
exactly 0 counts neither in the warm-up, where the minimum is taken, nor in the running mean; it
would hold that tensor at 0 for good.
"""

import math
from typing import Unpack

from autoclip_sep.clipping._arguments import integer, number
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import unpack
from autoclip_sep.clipping.result import Clip


class AdaGC(Clipper):
    """Clips each tensor's norm to `relative` times the running mean of its clipped norms.

    During the first `warmup` steps the global norm is clipped to `absolute` instead, and each
    tensor's mean starts as the smallest clipped norm it had. Parameters are told apart by their
    position in what `clip_gradients` is given: keep one order.

    relative: lambda_rel, 1.05 in the paper; at least 1, or norms could only ever fall.
    absolute: lambda_abs, the threshold on the global norm during the warm-up; 1 in the paper.
    decay: of the running means, in [0, 1); the paper's beta, 0.98.
    warmup: steps; 100 in the paper.

    Raises ValueError for other settings.
    """

    label_start = "adagc_{relative}"

    def __init__(
        self,
        relative: float = 1.05,
        *,
        absolute: float = 1.0,
        decay: float = 0.98,
        warmup: int = 100,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.relative = number("relative", relative, 1, math.inf, "[)")
        self.absolute = number("absolute", absolute, 0, math.inf, "()")
        self.decay = number("decay", decay, 0, 1, "[)")
        self.warmup = integer("warmup", warmup, 0)
        self._means: dict[int, float] = {}

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        if self._recorded <= self.warmup:
            factor = min(self.absolute / norm, 1)
            for position, own in zip(gradients.positions, norms, strict=True):
                known = self._means.get(position, math.inf)
                self._means[position] = min(known, factor * own)
            return gradients.clip_norm(norm, self.absolute)
        thresholds = []
        for position, own in zip(gradients.positions, norms, strict=True):
            mean = self._means.get(position, own)  # first seen now: nothing to compare with
            thresholds.append(self.relative * mean if position in self._means else math.inf)
            kept = min(own, thresholds[-1])
            self._means[position] = self.decay * mean + (1 - self.decay) * kept
        return gradients.clip_each(norms, thresholds)

    def _state(self) -> State:
        """means: a list, one for each position, NaN where it had no gradient yet."""
        last = max(self._means, default=-1)
        means = [self._means.get(position, math.nan) for position in range(last + 1)]
        return {"means": means}

    def _load(self, state: State) -> None:
        means = unpack("AdaGC's means", state["means"])
        if any(mean <= 0 or mean == math.inf for mean in means):
            raise ValueError("AdaGC's means must be positive and finite")
        self._means = {place: mean for place, mean in enumerate(means) if not math.isnan(mean)}
