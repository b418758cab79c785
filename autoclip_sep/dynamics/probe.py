"""What one step of a loop hands to the recorder."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.amp.grad_scaler import GradScaler, OptState
from torch.optim import Optimizer

from autoclip_sep.clipping import ClipResult
from autoclip_sep.dynamics.backward import copies


class Probe:
    """What one step hands to the recorder. Set `clip` to what the clipper returned.

    parameters: gives those that are trained at the moment. raw: whether their ``.grad`` is kept.
    """

    def __init__(
        self,
        parameters: Callable[[], Sequence[Tensor]],
        optimizer: Optimizer,
        scaler: GradScaler | None,
        recording: bool,
        raw: bool,
    ) -> None:
        self.clip: ClipResult | None = None
        self.gradient: list[Tensor] | None = None
        self.recording = recording
        self.lr: float | None = None
        self._losses: list[Tensor] = []
        self._parameters, self._optimizer, self._scaler = parameters, optimizer, scaler
        self._raw = raw

    def observe(self, loss: Tensor) -> None:
        """Notes the loss (any shape) and, after backward and before clipping, its gradient.

        Once a step, or once for each of its micro-batches, behind each one's backward pass and with
        each one's own loss, undivided: the loss is then the mean over the calls, the gradient what
        lies in ``.grad`` at the last one. Gradients that a GradScaler's `unscale_` hasn't seen
        yet are noted unscaled.
        """
        if not self.recording:
            return
        self.lr = float(self._optimizer.param_groups[0]["lr"])
        self._losses.append(loss.detach().mean())
        if self._raw:
            self.gradient = None  # frees the last micro-batch's
            parameters = self._parameters()
            if not parameters or any(parameter.grad is not None for parameter in parameters):
                scale = self.scale
                self.gradient = [g / scale if scale != 1 else g for g in copies(parameters)]

    @property
    def loss(self) -> Tensor | None:
        """The mean of what was observed, 0-dim; None where nothing was."""
        if not self._losses:
            return None
        return sum(self._losses[1:], self._losses[0]) / len(self._losses)

    @property
    def scale(self) -> float:
        """What gradients are multiplied by at the moment: 1 after `unscale_`."""
        if self._scaler is None or not self._scaler.is_enabled():
            return 1.0
        # The stage has no public name; it shows whether unscale_ has been called since the update.
        stage = self._scaler._per_optimizer_states[id(self._optimizer)]["stage"]
        return float(self._scaler.get_scale()) if stage is OptState.READY else 1.0
