"""The recorder in Hugging Face's Trainer: a run's dynamics and the batches of its spikes.

Written for transformers 5.23, beside `interop.transformers`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.interop._recording import Items, RunRecording
from autoclip_sep.interop.transformers import (
    GradientClipping,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    unwrapped,
)

Trainer = Any


class Recording(TrainerCallback):
    """Writes `folder`/dynamics.csv and spikes.csv, as `Recorder` and `Spikes` do in other loops::

        trainer = Trainer(..., callbacks=[GradientClipping(AutoClip())])
        trainer.add_callback(Recording(trainer, "records", every=20))

    It is given the Trainer, which doesn't show callbacks its batches: `trainer.training_step` is
    watched, and for the smoothness called again with the batches of a recorded step, while
    `trainer.log` does nothing. `loss` is the one that is minimised, over accumulated batches and
    the mean over all processes; `threshold` and `scale` are those of a GradientClipping in the
    Trainer's list, else NaN. The state is saved as `recording.pt` in the Trainer's checkpoints and
    comes back from one in `output_dir`. A training that begins at step 0 begins anew, one that is
    resumed goes on; rows of later steps are dropped from the files.

    every, points: as `Recorder` has them. items: names the examples of a batch; by default a batch
    is one item, `batch 17`, counted from 0 since training began. times, window, first: as `Spikes`
    has them.

    Raises InputError under FSDP1 and DeepSpeed.
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
        settings = {"times": times, "window": window, "first": first}
        self.trainer = trainer
        self.run = RunRecording(folder, self._loss, items, every, points, settings)
        self._batches = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins, after everything has been restored."""
        self._release()  # after a training that an exception ended
        path = _checkpoint(args, state)
        if state.global_step and path.is_file():
            saved = torch.load(path, map_location="cpu", weights_only=True)
            self.run.load_state_dict(saved)
        self.run.begin(
            kwargs["model"],
            unwrapped(kwargs["optimizer"]),
            state.global_step,
            self.trainer.accelerator.scaler,
            state.is_world_process_zero,
        )
        self._batches = state.global_step * args.gradient_accumulation_steps
        self._step = self.trainer.training_step
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
        loss: Tensor = self._step(*arguments)  # backpropagates by itself
        return loss

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Records the step, before the learning rate changes."""
        callbacks = self.trainer.callback_handler.callbacks
        clipping = [c for c in callbacks if isinstance(c, GradientClipping)]
        self.trainer.log = lambda *args, **kwargs: None
        try:
            self.run.end(clipping[0].result() if clipping else None)
        finally:
            del self.trainer.log

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Puts the state into the checkpoint that has just been saved."""
        if state.is_world_process_zero:
            torch.save(self.run.state_dict(), _checkpoint(args, state))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Closes the files and leaves the Trainer as it was."""
        self._release()

    def _release(self) -> None:
        self.run.close()
        if "training_step" in vars(self.trainer):
            del self.trainer.training_step


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / "recording.pt"
