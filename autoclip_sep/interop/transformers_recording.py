"""The recorder in Hugging Face's Trainer: a run's dynamics and the batches of its spikes.

Written for transformers 5.23, beside `interop.transformers`.
"""

from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from autoclip_sep.interop._recording import Items, RunRecording
from autoclip_sep.interop.transformers import (
    GradientClipping,
    TrainerCallback,
    checkpoint_file,
    unwrapped,
)

Trainer: TypeAlias = Any


class Recording(TrainerCallback):
    """Writes `folder`/dynamics.csv and spikes.csv, as `Recorder` and `Spikes` do in other loops::

        trainer = Trainer(..., callbacks=[GradientClipping(AutoClip())])
        trainer.add_callback(Recording(trainer, "records", every=20))

    It is given the Trainer, which doesn't show callbacks its batches: `trainer.training_step` is
    watched, and for the smoothness called again with the batches of a recorded step, while
    `trainer.log` does nothing. `loss` is the one that is minimised, over accumulated batches and
    the mean over all processes; `threshold` and `scale` are those of a GradientClipping in the
    Trainer's list, else NaN. The state is saved as `recording.pt` in the Trainer's checkpoints and
    comes back from one in `output_dir`. A training that begins at step 0 begins anew; one that is
    resumed goes on, and rows of later steps are dropped from the files.

    every, points: as in `Recorder`. times, window, first: as in `Spikes`.
    items: names the examples of a batch; by default a batch is one item, `batch 17`, counted from
        0 since training began.

    Raises InputError under FSDP1 and DeepSpeed, ValueError for impossible settings.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: str | Path,
        *,
        every: int = 20,
        points: int = 1,
        items: Items | None = None,
        times: float = 5.0,
        window: int = 1000,
        first: int = 100,
    ) -> None:
        spike_options = {"times": times, "window": window, "first": first}
        self.trainer = trainer
        self.run = RunRecording(folder, self._loss, items, every, points, spike_options)
        self._batches = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins, after everything has been restored."""
        self._release()  # after a training that an exception ended
        path = checkpoint_file(args, state, "recording.pt")
        if state.global_step and path.is_file():
            self.run.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        optimizer, scaler = unwrapped(kwargs["optimizer"]), self.trainer.accelerator.scaler
        step, writes = state.global_step, state.is_world_process_zero
        self.run.begin(kwargs["model"], optimizer, step, scaler, writes)
        self._batches = state.global_step * args.gradient_accumulation_steps
        self._training_step = self.trainer.training_step
        self.trainer.training_step = self._watched

    def _watched(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """The Trainer's training_step: forward and backward of a micro-batch."""
        arguments = (model, inputs, num_items_in_batch)
        epoch = int(self.trainer.state.epoch or 0) + 1
        self.run.batch(inputs, arguments, self._batches, epoch)
        self._batches += 1
        loss = self._loss(*arguments)
        self.run.loss(loss)
        if self.trainer.accelerator.sync_gradients:  # the last one before the optimizer's step
            self.run.observe()
        return loss

    def _loss(self, *arguments: Any) -> Tensor:
        loss: Tensor = self._training_step(*arguments)  # backpropagates by itself
        return loss

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Records the step, before the learning rate changes."""
        callbacks = self.trainer.callback_handler.callbacks
        clipping = [c for c in callbacks if isinstance(c, GradientClipping)]
        self.trainer.log = lambda *args, **kwargs: None
        try:
            self.run.end(clipping[0].result() if clipping else None)
        finally:
            del self.trainer.log

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Puts the state into the checkpoint that has just been saved."""
        if state.is_world_process_zero:
            torch.save(self.run.state_dict(), checkpoint_file(args, state, "recording.pt"))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closes the files and leaves the Trainer as it was."""
        self._release()

    def _release(self) -> None:
        self.run.close()
        if "training_step" in vars(self.trainer):
            del self.trainer.training_step
