"""AutoClip: the clipping threshold is a percentile of the gradient norms seen so far.

Seetharaman, Wichern, Pardo, Le Roux: "AutoClip: Adaptive Gradient Clipping for Source Separation
Networks", MLSP 2020, arXiv:2007.14469, Eqs. (2) and (3), Algorithm 1.
"""

from autoclip_sep.clipping.arguments import number, plain_text
from autoclip_sep.clipping.base import Clipper, Limit, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import History
from autoclip_sep.clipping.norm import limit_norm


class AutoClip(Clipper):
    """Clips the global norm to a percentile of its own history, the current step included.

    percentile: p in [0, 100]. 10 is the paper's choice; 0 clips to the smallest norm so far, 100
        never clips. A gradient at the threshold stays bit for bit what it was.
    """

    def __init__(self, percentile: float = 10.0, *, max_nonfinite: int = 10) -> None:
        super().__init__(max_nonfinite=max_nonfinite)
        self.percentile = number("percentile", percentile, 0, 100)
        self._history = History()

    @property
    def label(self) -> str:
        return f"autoclip_p{plain_text(self.percentile)}"

    def _limit(self, gradients: Gradients, norm: float, norms: list[float]) -> Limit:
        self._history.append(norm)  # Algorithm 1: before the percentile is taken
        threshold = self._history.percentile(self.percentile)
        return limit_norm(gradients, norm, threshold)  # Eqs. (2), (3)

    def _state(self) -> State:
        return {"history": self._history.tensor()}

    def _load(self, state: State) -> None:
        self._history = History.from_tensor(state["history"])
