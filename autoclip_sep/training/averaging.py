"""An exponential moving average of a network's weights, evaluated beside the weights themselves.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with
exponential weights, in torch's implementation.
"""

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    """After each applied step: average = decay * average + (1 - decay) * weights.

    It begins with the weights after the first step. Buffers (BatchNorm's running statistics) are
    the network's own. best: the average's lowest validation loss so far.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.best = float("inf")

    @property
    def model(self) -> nn.Module:
        """The network with the averaged weights."""
        model: nn.Module = self._averaged.module
        return model

    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self._averaged.update_parameters(model)

    def state_dict(self) -> dict[str, Any]:
        """Weights by the network's own keys and plain numbers, for exact resume."""
        updates = int(self._averaged.n_averaged)
        return {"weights": self.model.state_dict(), "updates": updates, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.model.load_state_dict(state["weights"])
        self._averaged.n_averaged.fill_(state["updates"])
        self.best = state["best"]
