"""The clippers in Hugging Face's Trainer: a callback that clips gradients and keeps the state.

Written for transformers 5.23. Importing this module imports transformers and accelerate; InputError
where one of them is missing.
"""

import copy
import logging
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.clipping import Clipper, ClipResult, Handle
from autoclip_sep.errors import InputError
from autoclip_sep.interop._attach import attach, require_gradient_clipper
from autoclip_sep.optional import require

_PURPOSE = "clipping in a Trainer"
TrainerCallback: Any = require("transformers", _PURPOSE).TrainerCallback
AcceleratedOptimizer: Any = require("accelerate.optimizer", _PURPOSE).AcceleratedOptimizer

logger = logging.getLogger(__name__)


class GradientClipping(TrainerCallback):
    """Clips the gradients of every optimizer step::

        Trainer(args=TrainingArguments(max_grad_norm=0), callbacks=[GradientClipping(AutoClip())])

    One step is one entry in the history, however many batches are accumulated. With fp16 the
    clipper sees unscaled gradients, and no step that the scaler skips. A step with a non-finite
    norm is skipped. The clipper's state is saved as `clipping.pt` in the Trainer's checkpoints and
    comes back when training is resumed from one in `output_dir`; before it is resumed from one
    elsewhere, load it: the Trainer doesn't tell callbacks where that is. Another training that
    begins at step 0 begins with the state that the clipper had when the first one began.

    Raises InputError for clippers that clip losses, unless `max_grad_norm` is 0, in a
    hyperparameter search, under FSDP1 and DeepSpeed.
    """

    def __init__(self, clipper: Clipper) -> None:
        require_gradient_clipper(clipper)
        self.clipper = clipper
        self._handle: Handle | None = None
        self._first: dict[str, Any] | None = None  # the state that the first training began with

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attaches the clipper to the optimizer, which the Trainer has just made or restored."""
        if args.max_grad_norm:
            raise InputError(
                f"GradientClipping after the Trainer's own clipping to {args.max_grad_norm}: "
                "set TrainingArguments(max_grad_norm=0)"
            )
        if state.is_hyper_param_search:
            raise InputError(
                "GradientClipping has one clipper, and a hyperparameter search needs a new one for "
                "every trial: attach one in Trainer.create_optimizer"
            )
        self._detach()  # a training that an exception ended
        again, self._first = self._first, self._first or copy.deepcopy(self.clipper.state_dict())
        if state.global_step:
            self._resume(checkpoint_file(args, state, "clipping.pt"))
        elif again:
            self.clipper.load_state_dict(copy.deepcopy(again))
        wrapper = kwargs["optimizer"]
        self._handle = attach(self.clipper, unwrapped(wrapper), kwargs["model"])
        while isinstance(wrapper, AcceleratedOptimizer):
            wrapper.__setstate__({})  # for its scaler it keeps the step as it was before
            wrapper = wrapper.optimizer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forgets the result of the step before."""
        if self._handle is not None:
            self._handle.last = None

    def result(self) -> ClipResult | None:
        """Of the latest step; None where a scaler skipped it."""
        return None if self._handle is None else self._handle.last

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Puts the state into the checkpoint that has just been saved."""
        if state.is_world_process_zero:
            torch.save(self.clipper.state_dict(), checkpoint_file(args, state, "clipping.pt"))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leaves the optimizer as it was."""
        self._detach()

    def _detach(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _resume(self, path: Path) -> None:
        if path.is_file():
            self.clipper.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        elif not self.clipper.steps:
            logger.warning(
                "no %s: the clipper starts anew; where the checkpoint lies elsewhere, first call "
                "clipper.load_state_dict(torch.load('CHECKPOINT/%s'))",
                path,
                path.name,
            )


def unwrapped(optimizer: Any) -> Any:
    """The one inside of Accelerate's, whose hooks are those that are called."""
    while isinstance(optimizer, AcceleratedOptimizer):
        optimizer = optimizer.optimizer
    return optimizer


def checkpoint_file(args: Any, state: Any, name: str) -> Path:
    """A file in the Trainer's checkpoint of the present step."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / name
