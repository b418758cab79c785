"""AutoClip: the clipping threshold is a percentile of the gradient norms seen so far.

Seetharaman, Wichern, Pardo, Le Roux: "AutoClip: Adaptive Gradient Clipping for Source Separation
Networks", MLSP 2020, arXiv:2007.14469, Eqs. (2) and (3), Algorithm 1. The defaults are the paper;
`window` and `scope="parameter"` are what it names as future work.
"""

import math

import torch
from torch import Tensor

from autoclip_sep.clipping.arguments import number, plain_text, whole_number
from autoclip_sep.clipping.base import Clipper, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import History
from autoclip_sep.clipping.local_norm import limit_each
from autoclip_sep.clipping.norm import limit_norm
from autoclip_sep.clipping.resident import ResidentHistory
from autoclip_sep.clipping.result import Limit


class AutoClip(Clipper):
    """Clips the norm to a percentile of its own history, the current step included.

    percentile: p in [0, 100]. 10 is the paper's choice; 0 clips to the smallest norm so far, 100
        never clips. A gradient at the threshold stays bit for bit what it was. None only watches:
        the norms are recorded, nothing is clipped (shadow mode).
    window: how many of the latest norms the percentile is taken of; None for all, as in the paper.
    warmup: for how many steps norms are only recorded. A percentile of few numbers is a rough one.
    scope: "global" takes one norm over all parameters. "parameter" gives each parameter's gradient
        a history and a threshold of its own; the result's `threshold` is then inf. Parameters are
        told apart by their position in what `limit_gradients` is given, so keep to one order.
    """

    def __init__(
        self,
        percentile: float | None = 10.0,
        *,
        window: int | None = None,
        warmup: int = 0,
        scope: str = "global",
        max_nonfinite: int = 10,
    ) -> None:
        super().__init__(max_nonfinite=max_nonfinite)
        self.percentile = None if percentile is None else number("percentile", percentile, 0, 100)
        self.window = None if window is None else whole_number("window", window, 1)
        self.warmup = whole_number("warmup", warmup, 0)
        if scope not in ("global", "parameter"):
            raise ValueError(f'scope must be "global" or "parameter", not {scope!r}')
        self.scope = scope
        self._histories: dict[int, History] = {}
        self._resident: ResidentHistory | None = None

    @property
    def label(self) -> str:
        shadow = self.percentile is None
        name = "shadow" if shadow else f"autoclip_p{plain_text(self.percentile or 0)}"
        window = "" if self.window is None else f"_window{self.window}"
        warmup = f"_warmup{self.warmup}" if self.warmup else ""
        scope = "" if self.scope == "global" else f"_{self.scope}"
        return name + window + warmup + scope

    def _limit(self, gradients: Gradients, norm: float, norms: list[float]) -> Limit:
        if self._resident is not None:  # step() was in use until now
            self._histories = {0: History.from_tensor(self._resident.tensor(), self.window)}
            self._resident = None
        if self.scope == "global":
            return limit_norm(gradients, norm, self._threshold(0, norm))  # Eqs. (2), (3)
        thresholds = [
            self._threshold(position, own)
            for position, own in zip(gradients.positions, norms, strict=True)
        ]
        return limit_each(gradients, norms, thresholds)

    def _threshold(self, position: int, norm: float) -> float:
        history = self._histories.get(position)
        if history is None:
            history = self._histories[position] = History(self.window)
        history.append(norm)  # Algorithm 1: before the percentile is taken
        if self.percentile is None or self.steps - self.skipped <= self.warmup:
            return math.inf
        return history.percentile(self.percentile)

    def _device_threshold(self, norm: Tensor, finite: Tensor) -> Tensor:
        if self.scope != "global":
            return super()._device_threshold(norm, finite)
        if self._resident is None:  # limit_gradients was in use until now
            entries = self._histories.pop(0, History()).tensor()
            self._resident = ResidentHistory(entries, norm.device, self.window)
        self._resident.append(norm, finite)
        if self.percentile is None:
            return torch.full_like(norm, torch.inf)
        threshold = self._resident.percentile(self.percentile)
        if not self.warmup:
            return threshold
        taken_in = norm.new_full((), self.steps + 1) - self._skipped  # this step isn't counted yet
        return torch.where(taken_in > self.warmup, threshold, torch.inf)

    def _state(self) -> State:
        """history: (entries,) float64, oldest first. With scope "parameter" the histories of all
        positions one after the other, and `lengths`, (positions,) int64, says how long each is.
        """
        if self._resident is not None:
            return {"history": self._resident.tensor()}
        if self.scope == "global":
            return {"history": self._histories.get(0, History()).tensor()}
        last = max(self._histories, default=-1)
        rows = [self._histories.get(i, History()).tensor() for i in range(last + 1)]
        history = torch.cat([torch.empty(0, dtype=torch.float64), *rows])
        return {"history": history, "lengths": torch.tensor([len(r) for r in rows]).long()}

    def _load(self, state: State) -> None:
        rows = [state["history"]]
        if self.scope == "parameter":
            rows = _split(state["history"], state["lengths"])
        histories = [History.from_tensor(row, self.window) for row in rows]
        self._histories = {place: history for place, history in enumerate(histories) if history}
        self._resident = None


def _split(history: object, lengths: object) -> list[Tensor]:
    if (
        isinstance(history, Tensor)
        and isinstance(lengths, Tensor)
        and not lengths.is_floating_point()
    ):
        sizes: list[int] = lengths.flatten().tolist()
        if min(sizes, default=0) >= 0 and sum(sizes) == history.numel():
            return list(history.split(sizes))
    raise ValueError("the lengths of a clipper's histories must add up to the entries given")
