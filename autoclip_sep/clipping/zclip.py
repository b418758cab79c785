"""ZClip: a gradient norm far above its running mean is a spike, and spikes are cut down.

Kumar, Owen, Chowdhury, Güra: "ZClip: Adaptive Spike Mitigation for LLM Pre-Training",
arXiv:2504.02507, in its published form: z-score, adaptive (reciprocal) scaling, statistics of the
clipped norms. Two differences from its authors' code: no second, fixed threshold
(`max_grad_norm`, 1 there), and no epsilon beside sigma. Where sigma is 0 nothing is a spike: norms
that were all equal would otherwise hold every later one at their own size for good. Norms of
exactly 0 aren't taken in.
"""

import math
from typing import Unpack

from autoclip_sep.clipping._arguments import integer, number
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import History
from autoclip_sep.clipping.result import Clip


class ZClip(Clipper):
    """Clips a global norm of z-score z > `z_threshold` to mean + (z_threshold**2 / z) * sigma.

    So the larger a spike, the closer to the mean it comes. Other norms are left alone; the
    result's `threshold` is then the one above which they wouldn't have been.

    z_threshold: the z-score from which on a norm is a spike; 2.5 in the paper.
    decay: of the running mean and variance, in [0, 1); the paper's alpha, 0.97.
    warmup: steps without clipping whose norms give the first mean and variance; 25 in the paper.

    Raises ValueError for other settings.
    """

    label_start = "zclip_z{z_threshold}"

    def __init__(
        self,
        z_threshold: float = 2.5,
        *,
        decay: float = 0.97,
        warmup: int = 25,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.z_threshold = number("z_threshold", z_threshold, 0, math.inf, "()")
        self.decay = number("decay", decay, 0, 1, "[)")
        self.warmup = integer("warmup", warmup, 1)
        self._first: list[float] = []
        self._mean = self._variance = 0.0

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        if len(self._first) < self.warmup:
            self._first.append(norm)
            if len(self._first) == self.warmup:
                self._mean = math.fsum(self._first) / self.warmup
                squares = ((value - self._mean) ** 2 for value in self._first)
                self._variance = math.fsum(squares) / self.warmup
            return Clip()
        sigma = math.sqrt(self._variance)
        threshold = self._mean + self.z_threshold * sigma if sigma else math.inf
        if norm > threshold:
            # (z_threshold**2 / z) * sigma with z = (norm - mean) / sigma
            threshold = self._mean + self.z_threshold**2 * self._variance / (norm - self._mean)
        kept = min(norm, threshold)
        self._mean = self.decay * self._mean + (1 - self.decay) * kept
        deviation = (kept - self._mean) ** 2
        self._variance = self.decay * self._variance + (1 - self.decay) * deviation
        return gradients.clip_norm(norm, threshold)

    def _state(self) -> State:
        return {"mean": self._mean, "variance": self._variance, "first": list(self._first)}

    def _load(self, state: State) -> None:
        mean = number("mean", state["mean"], 0, math.inf, "[)")
        variance = number("variance", state["variance"], 0, math.inf, "[)")
        self._first = History.unpacked(state["first"]).tensor().tolist()
        self._mean, self._variance = mean, variance
