"""The clippers in Lightning: a callback that clips gradients and keeps the state in checkpoints.

Written for lightning 2.6; the callback works with the Trainer of `lightning` and with that of
`pytorch_lightning`. Importing this module imports one of the two; InputError where neither is
installed.
"""

import copy
import logging
from importlib.util import find_spec
from typing import Any, TypeAlias

from autoclip_sep.clipping import Clipper, ClipResult, Handle
from autoclip_sep.errors import InputError
from autoclip_sep.interop._attach import attach, require_gradient_clipper
from autoclip_sep.optional import require

Trainer: TypeAlias = Any  # of either package; they share no class
Module: TypeAlias = Any

# pytorch_lightning is the older name of the package, with classes of its own. Each one's Trainer
# calls the hooks of a callback in its list, whichever of the two the class is from.
_OLD_NAME_ONLY = find_spec("lightning") is None and find_spec("pytorch_lightning") is not None
_PACKAGE = "pytorch_lightning" if _OLD_NAME_ONLY else "lightning.pytorch"
Callback: Any = require(_PACKAGE, "clipping in Lightning").Callback

logger = logging.getLogger(__name__)


class GradientClipping(Callback):
    """Clips the gradients of every optimizer step::

        Trainer(callbacks=[GradientClipping(AutoClip(percentile=10))])

    One step is one entry in the history, however many batches are accumulated. With 16-bit
    precision the clipper sees unscaled gradients, and no step that the scaler skips. A step with a
    non-finite norm is skipped. The clippers' state goes into the Trainer's checkpoints and comes
    back with `fit(ckpt_path=...)`. Another fit that begins at step 0, with a new Trainer, begins
    with the state that the clippers had when the first one began.

    clippers: one for each optimizer, in the order of `configure_optimizers`.
    log: whether to log `clipping/norm` and `clipping/threshold` as often as the Trainer logs steps,
        and `clipping/clipped`, the share of clipped steps, once an epoch. With several optimizers
        it is `clipping/0/norm` and so on.

    Raises InputError for clippers that clip losses, beside `Trainer(gradient_clip_val=...)`, for
    another number of optimizers, under FSDP1 and for optimizers that aren't torch's.
    """

    def __init__(self, *clippers: Clipper, log: bool = True) -> None:
        super().__init__()
        for clipper in clippers:
            require_gradient_clipper(clipper)
        if not clippers or len({id(clipper) for clipper in clippers}) < len(clippers):
            raise InputError("GradientClipping takes one clipper of its own for each optimizer")
        self.clippers = clippers
        self._logs = log  # `log` is what Lightning itself puts on a callback
        self._handles: list[Handle] = []
        self._first: dict[str, Any] | None = None  # the state that the first fit began with

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Refuses to clip twice; before a checkpoint is restored, forgets an earlier run."""
        if stage != "fit":
            return
        if trainer.gradient_clip_val:
            raise InputError(
                "GradientClipping beside another clipping: remove "
                f"Trainer(gradient_clip_val={trainer.gradient_clip_val})"
            )
        if self._first is None:
            self._first = copy.deepcopy(self.state_dict())
        elif not trainer.global_step:
            self.load_state_dict(copy.deepcopy(self._first))

    # A hook on the optimizer and not `on_before_optimizer_step` or `configure_gradient_clipping`:
    # Lightning calls these before it asks whether the scaler skips the step, with gradients that
    # are still scaled where the optimizer is fused, and the latter not in manual optimization.
    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Attaches the clippers, after everything has been restored."""
        optimizers = trainer.optimizers
        if len(optimizers) != len(self.clippers):
            raise InputError(
                f"GradientClipping has clippers for {len(self.clippers)} optimizers, and there are "
                f"{len(optimizers)}: give it one for each, in the order of configure_optimizers"
            )
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        for clipper, optimizer in zip(self.clippers, optimizers, strict=True):
            self._handles.append(attach(clipper, optimizer, trainer.model, scaler))

    def on_train_batch_start(self, *_: Any) -> None:
        """Forgets the results of the batch before."""
        for handle in self._handles:
            handle.last = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Logs the step, if this batch ended in one."""
        for index, result in enumerate(self.results()):
            if not self._logs or result is None:
                continue
            prefix = "clipping" if len(self._handles) == 1 else f"clipping/{index}"
            pl_module.log(f"{prefix}/norm", result.norm)
            pl_module.log(f"{prefix}/threshold", result.threshold)
            # Steps weigh the same, however large their batches are. sync_dist changes no number,
            # since all processes took the same steps; Lightning warns without it.
            share = {"on_step": False, "on_epoch": True, "batch_size": 1, "sync_dist": True}
            pl_module.log(f"{prefix}/clipped", result.clipped.float(), **share)

    def results(self) -> list[ClipResult | None]:
        """Of each optimizer's step in the current batch; None where there was none."""
        return [handle.last for handle in self._handles]

    def on_train_end(self, *_: Any) -> None:
        """Leaves the optimizers as they were."""
        while self._handles:
            self._handles.pop().remove()

    def on_exception(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """As at the end, which an exception doesn't come to."""
        self.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """clippers: the state of each, numbers and lists of numbers only."""
        return {"clippers": [clipper.state_dict() for clipper in self.clippers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the states; raises InputError or ValueError where they are of others."""
        states = state_dict["clippers"]
        if len(states) != len(self.clippers):
            raise InputError(
                f"the checkpoint holds the state of {len(states)} clippers, and GradientClipping "
                f"has {len(self.clippers)}: give it those that the run began with"
            )
        for clipper, state in zip(self.clippers, states, strict=True):
            clipper.load_state_dict(state)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: Module, checkpoint: dict[str, Any]
    ) -> None:
        """Warns where a run is resumed without the clippers' state."""
        if self.state_key not in checkpoint["callbacks"]:
            logger.warning("the checkpoint holds no state of the clippers: they start anew")
