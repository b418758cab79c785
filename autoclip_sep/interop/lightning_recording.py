"""The recorder in Lightning: a callback that writes dynamics and the examples of spikes.

Written for lightning 2.6, beside `interop.lightning`, and works with the same Trainers.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.interop._recording import Items, RunRecording
from autoclip_sep.interop.lightning import Callback, GradientClipping, Module, Trainer
from autoclip_sep.optional import require

Metric: Any = require("torchmetrics", "recording in Lightning").Metric


class Recording(Callback):
    """Writes `folder`/dynamics.csv and spikes.csv, as `Recorder` and `Spikes` do in other loops::

        Trainer(callbacks=[GradientClipping(AutoClip()), Recording("records", every=20)])

    `loss` is the mean over accumulated batches and all processes; `threshold` and `scale` are those
    of a GradientClipping in the Trainer's list, else NaN. For the smoothness `training_step` is
    called again with the batches of a recorded step; meanwhile `self.log` does nothing, and
    torchmetrics are put back. The state goes into the Trainer's checkpoints. A fit that begins at
    step 0 begins anew; one that is resumed goes on, and rows of later steps are dropped from the
    files.

    every, points: as in `Recorder`. times, window, first: as in `Spikes`.
    items: names the examples of a batch; by default a batch is one item, `batch 17`.

    Raises InputError in manual optimization, under FSDP1 and for optimizers that aren't torch's;
    ValueError for impossible settings.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every: int = 20,
        points: int = 1,
        items: Items | None = None,
        times: float = 5.0,
        window: int = 1000,
        first: int = 100,
    ) -> None:
        super().__init__()
        spike_options = {"times": times, "window": window, "first": first}
        self.run = RunRecording(folder, self._loss, items, every, points, spike_options)
        self._trainer: Trainer = None
        self._stepped = False

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begins, after everything has been restored."""
        if not pl_module.automatic_optimization:
            raise InputError(
                "Recording can't repeat a training_step that steps optimizers itself (manual "
                "optimization): put a Recorder around the steps there"
            )
        self._trainer, (optimizer,) = trainer, trainer.optimizers
        step, writes = trainer.global_step, trainer.is_global_zero
        self.run.begin(pl_module, optimizer, step, self._scaler(), writes)

    def on_train_epoch_start(self, *_: Any) -> None:
        """Forgets a step that the end of an epoch interrupted."""
        self.run.drop()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Module, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the batch and the random state."""
        self.run.batch(batch, (batch, batch_idx), batch_idx, trainer.current_epoch + 1)

    def on_before_backward(self, trainer: Trainer, pl_module: Module, loss: Tensor) -> None:
        """The loss, which Lightning shows divided by the accumulated batches, and scaled."""
        scaler = self._scaler()
        self.run.loss(loss.detach() / scaler.get_scale() if scaler else loss)

    def on_before_optimizer_step(self, *_: Any) -> None:
        """The gradients, before they are clipped."""
        self.run.observe()
        self._stepped = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Records the step, if this batch ended in one."""
        if self._stepped:
            self._stepped = False
            clipping = [c for c in trainer.callbacks if isinstance(c, GradientClipping)]
            (clip,) = clipping[0].results() if clipping else (None,)
            with _quiet(pl_module):
                self.run.end(clip)

    def on_train_end(self, *_: Any) -> None:
        """Closes the files."""
        self.run.close()

    def on_exception(self, *_: Any) -> None:
        """As at the end, which an exception doesn't come to."""
        self.run.close()

    def state_dict(self) -> dict[str, Any]:
        """Of the Recorder and the Spikes, numbers and lists of numbers only."""
        return self.run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores a saved state."""
        self.run.load_state_dict(state_dict)

    def _scaler(self) -> Any:
        return getattr(self._trainer.precision_plugin, "scaler", None)

    def _loss(self, *arguments: Any) -> Tensor:
        """A batch's share of the step's loss once more, as automatic optimization takes it."""
        trainer = self._trainer
        count = len(inspect.signature(trainer.lightning_module.training_step).parameters)
        output = trainer.strategy.training_step(*arguments[:count])
        loss: Tensor = output["loss"] if isinstance(output, Mapping) else output
        return loss / trainer.accumulate_grad_batches


@contextmanager
def _quiet(module: Module) -> Iterator[None]:
    """A training_step within logs nothing, and torchmetrics end as they came."""
    metrics = [m for m in module.modules() if isinstance(m, Metric)]
    # In one copy: members of a collection share states.
    states = copy.deepcopy([{key: getattr(m, key) for key in m._defaults} for m in metrics])
    for metric, state in zip(metrics, states, strict=True):
        for key in ("_update_count", "_computed", "_forward_cache"):
            state[key] = getattr(metric, key)
    module.log = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del module.log
        for metric, state in zip(metrics, states, strict=True):
            for key, value in state.items():
                setattr(metric, key, value)
