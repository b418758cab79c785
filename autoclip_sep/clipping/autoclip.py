"""AutoClip: the clipping threshold is a percentile of the gradient norms seen so far.

Seetharaman, Wichern, Pardo, Le Roux: "AutoClip: Adaptive Gradient Clipping for Source Separation
Networks", MLSP 2020, arXiv:2007.14469, Eqs. (2) and (3), Algorithm 1. The defaults are the paper;
`window` and `scope="parameter"` are what it names as future work. One deliberate difference: a norm
of exactly 0 (a margin loss without a violation, an expert that no token came to) carries no
information about the scale of gradients and doesn't enter the history. With more than p % of them
in it the threshold would be 0, and every gradient from then on.
"""

import logging
import math
from itertools import accumulate, chain, pairwise
from typing import Literal, Unpack

import torch
from torch import Tensor

from autoclip_sep.clipping._arguments import integer, number
from autoclip_sep.clipping._fused import DeviceHistory
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import History, to_tensor, unpack
from autoclip_sep.clipping.result import Clip
from autoclip_sep.clipping.settings import label_of

logger = logging.getLogger(__name__)


class AutoClip(Clipper):
    """Clips the norm to a percentile of its own history, the current step included.

    percentile: p in [0, 100]. 10 is the paper's choice; 0 clips to the smallest norm so far, 100
        never clips. A gradient at the threshold keeps its bits. None only records the norms and
        clips nothing (shadow mode).
    window: how many of the latest norms the percentile is taken of; None for all, as in the paper.
    warmup: for how many steps norms are only recorded: a percentile of few numbers is a rough one.
        Steps whose gradient is 0 or non-finite record nothing and aren't counted.
    scope: "global" takes one norm over all parameters. "parameter" gives each parameter's gradient
        a history and a threshold of its own; the result's `threshold` is then inf. Parameters are
        told apart by their position in what `clip_gradients` is given: keep one order.

    Raises ValueError for other settings.
    """

    def __init__(
        self,
        percentile: float | None = 10.0,
        *,
        window: int | None = None,
        warmup: int = 0,
        scope: Literal["global", "parameter"] = "global",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.percentile = None if percentile is None else number("percentile", percentile, 0, 100)
        self.window = None if window is None else integer("window", window, 1)
        self.warmup = integer("warmup", warmup, 0)
        if scope not in ("global", "parameter"):
            raise ValueError(f'scope must be "global" or "parameter", not {scope!r}')
        self.scope = scope
        if 0 < (self.percentile or 0) < 1:
            logger.warning("%r: percentiles are in [0, 100], 10 %% is AutoClip(10)", self)
        self._histories: dict[int, History] = {}
        self._on_device: DeviceHistory | None = None  # while step() is in use

    @property
    def label(self) -> str:
        start = "shadow" if self.percentile is None else "autoclip_p{percentile}"
        return label_of(self, start, "percentile")

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        if self._on_device is not None:  # step() was in use until now
            self._histories = {0: History.unpacked(self._on_device.tensor(), self.window)}
            self._on_device = None
        if self.scope == "global":
            return gradients.clip_norm(norm, self._threshold(0, norm))  # Eqs. (2), (3)
        thresholds = [
            self._threshold(position, own)
            for position, own in zip(gradients.positions, norms, strict=True)
        ]
        return gradients.clip_each(norms, thresholds)

    def _threshold(self, position: int, norm: float) -> float:
        history = self._histories.get(position)
        if history is None:
            history = self._histories[position] = History(self.window)
        history.append(norm)  # Algorithm 1: before the percentile is taken
        if self.percentile is None or self._recorded <= self.warmup:
            return math.inf
        return history.percentile(self.percentile)

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> float | Tensor:
        if self.scope != "global":
            return super()._device_threshold(norm, recorded)
        if self._on_device is None:  # clip_gradients was in use until now
            entries = self._histories.pop(0, History()).tensor()
            self._on_device = DeviceHistory(entries, norm.device, self.window)
        self._on_device.append(norm, recorded)
        if self.percentile is None:
            return math.inf
        threshold = self._on_device.percentile(self.percentile)
        if not self.warmup:
            return threshold
        counts = self._step_counts
        earlier = norm.new_full((), self.steps) - counts["skipped"] - counts["zeros"]
        return torch.where(earlier >= self.warmup, threshold, torch.inf)

    @property
    def history(self) -> Tensor:
        """The norms that percentiles are taken of, oldest first: (entries,) float64 on the host.

        With scope "parameter" those of all positions, one after the other.
        """
        return to_tensor(unpack("history", self._state()["history"]))

    def _state(self) -> State:
        """history: a list, oldest first. With scope "parameter" the histories of all positions one
        after the other, and `lengths`, a list of integers, holds how long each is.
        """
        if self._on_device is not None:
            return {"history": self._on_device.tensor().tolist()}
        if self.scope == "global":
            return {"history": self._histories.get(0, History()).entries().tolist()}
        last = max(self._histories, default=-1)
        rows = [self._histories.get(i, History()).entries() for i in range(last + 1)]
        return {"history": list(chain(*rows)), "lengths": [len(row) for row in rows]}

    def _load(self, state: State) -> None:
        rows = [state["history"]]
        if self.scope == "parameter":
            rows = _split(state["history"], state["lengths"])
        histories = [History.unpacked(row, self.window) for row in rows]
        self._histories = {place: history for place, history in enumerate(histories) if history}
        self._on_device = None


def _split(history: object, lengths: object) -> list[list[float]]:
    entries = unpack("a clipper's history", history)
    if isinstance(lengths, Tensor) and lengths.dtype == torch.int64:  # a state of version 1
        lengths = lengths.flatten().tolist()
    sizes = lengths if isinstance(lengths, list) else [-1]
    if all(type(n) is int and n >= 0 for n in sizes) and sum(sizes) == len(entries):
        ends = accumulate(sizes, initial=0)
        return [entries[start:end].tolist() for start, end in pairwise(ends)]
    raise ValueError("the lengths of a clipper's histories must add up to the entries given")
