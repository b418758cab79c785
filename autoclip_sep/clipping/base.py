"""What every clipper is: two hooks, one result, counters and a state."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from autoclip_sep.clipping._arguments import whole_number
from autoclip_sep.clipping._counters import Counted, State
from autoclip_sep.clipping._former_names import FormerNames
from autoclip_sep.clipping._fused import Watch, fused_step, require_fused
from autoclip_sep.clipping._misuse import Usage
from autoclip_sep.clipping.gradients import Gradients, Parameters, optimizer_parameters
from autoclip_sep.clipping.handle import Handle
from autoclip_sep.clipping.norms import global_norm, read_norms, tensor_norms, wide
from autoclip_sep.clipping.result import Clip, ClipResult, NonFiniteGradients, beside, describe
from autoclip_sep.clipping.settings import label_of, repr_of, spell_out

logger = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """What every clipper takes beside its own settings."""

    max_nonfinite: int  # steps in a row without a finite norm that are an error


class Clipper(Counted, FormerNames, ABC):
    """Clips losses before the backward pass, gradients after it, or both::

        loss = clipper.clip_loss(objective(model(batch), batch)).mean()
        loss.backward()
        result = clipper.clip_gradients(model.named_parameters())
        if result.finite:
            optimizer.step()

    One call of `clip_gradients` for each optimizer step, after accumulation and unscaling.
    A subclass gives `_clip`, keeps the arguments of its class as attributes of the same names, and
    adds its memory to `_state` and `_load`::

        class Half(Clipper):
            def __init__(self, share=0.5, **options):
                super().__init__(**options)
                self.share = share

            def _clip(self, gradients, norm, norms):
                gradients.scale(self.share)
                return Clip(scale=self.share, clipped=True)
    """

    #: Whether `clip_loss` does anything.
    clips_loss: bool = False
    #: How a label begins, with the settings that it always tells: "zclip_z{z_threshold}". None is
    #: the class's name.
    label_start: str | None = None
    #: What to do where 1000 steps were all clipped, or none of the first 1000 was, if a fixed
    #: setting may be to blame for it.
    if_all: str | None = None
    if_none: str | None = None

    def __init__(self, *, max_nonfinite: int = 10) -> None:
        super().__init__()
        self.max_nonfinite = whole_number("max_nonfinite", max_nonfinite, 1)
        self._watch: Watch | None = None
        self._usage = Usage(self.if_all, self.if_none)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            spell_out(cls.__init__, super(cls, cls).__init__)

    @property
    def label(self) -> str:
        """A short name, fit for a folder, that tells every setting which isn't the class's default:
        `autoclip_p10`, `autoclip_p10_window1000`."""
        return label_of(self, self.label_start)

    __repr__ = repr_of

    def clip_loss(self, loss: Tensor) -> Tensor:
        """The losses to differentiate, one per example, of the shape given."""
        return loss

    def clip_gradients(self, parameters: Parameters) -> ClipResult:
        """Limits the gradients in place and says what was done.

        `model.parameters()` will do; with `model.named_parameters()` errors name the parameters.
        A norm that isn't finite leaves gradients and history alone and counts as skipped. One of
        exactly 0 counts in `zeros` and leaves the history alone; a single gradient of 0 is treated
        as if there were none. Without any gradient nothing is counted and the norm is 0.

        Raises NonFiniteGradients after `max_nonfinite` such steps in a row, ValueError for
        parameters of FullyShardedDataParallel.
        """
        return self._clip_known(parameters)[0]

    @torch.no_grad()
    def _clip_known(self, parameters: Parameters) -> tuple[ClipResult, bool]:
        """The result, and whether it is finite as the host knows it without a second look."""
        gradients = Gradients(parameters)
        self._usage.gathered(gradients)
        if not len(gradients):
            return describe(torch.zeros((), device="cpu"), Clip(), finite=True), True
        norm, total, each = read_norms(gradients)
        if not math.isfinite(total):
            self._skip()
            self._complain(gradients, total, each)
            return describe(norm, Clip(), finite=False), False
        return describe(norm, self._take(gradients, total, each), finite=True), True

    @torch.no_grad()
    def step(self, optimizer: Optimizer) -> ClipResult:
        """Takes a fused optimizer's step with the clip folded into it; the host waits for nothing.

        In place of `clip_gradients` and `optimizer.step()`, for clippers that scale all gradients
        by one factor: NoClipping, NormClipping, AutoClip with scope "global". A step whose norm
        isn't finite is skipped on the device. After `max_nonfinite` of them in a row
        NonFiniteGradients is raised as soon as the host has heard of it, maybe some steps later.

        Gradients must be unscaled. Unlike in `clip_gradients` norms are float32 ones: above 1.8e19
        not finite, below 1e-19 not exact, and 0 below 1e-23. Reading the result waits for the
        device; so do the counts and `state_dict`. Raises ValueError for other clippers and
        optimizers.
        """
        require_fused(optimizer)
        gradients = Gradients(optimizer_parameters(optimizer))
        self._usage.gathered(gradients)
        if not len(gradients):
            return describe(torch.zeros((), device="cpu"), Clip(), finite=True)
        norm = global_norm(tensor_norms(gradients))
        self._watch = self._watch or Watch(norm.device)
        if self._watch.latest() >= self.max_nonfinite:
            self._complain(gradients, *read_norms(gradients)[1:])
        finite = torch.isfinite(norm)
        zero = norm == 0
        recorded = finite & ~zero
        precise = norm.to(wide(norm.device))
        threshold = beside(norm, self._device_threshold(precise, recorded), precise.dtype)
        clipped = finite & (norm > threshold)
        divisor = torch.where(clipped, norm / threshold, 1.0)
        fused_step(optimizer, divisor.float(), finite)
        self._add_counts(steps=1, clipped=clipped, skipped=~finite, zeros=zero)
        in_a_row = torch.where(finite, 0, self._step_counts["nonfinite_in_a_row"] + 1)
        self._step_counts["nonfinite_in_a_row"] = in_a_row
        self._watch.send(in_a_row)
        threshold = torch.where(recorded, threshold, math.inf)
        return describe(norm, Clip(threshold, divisor.reciprocal(), clipped), finite=finite)

    def attach(
        self, optimizer: Optimizer | Sequence[Optimizer], scaler: GradScaler | None = None
    ) -> Handle:
        """Limits gradients in every `optimizer.step()` from now on, for loops one doesn't own.

        Several optimizers of one model, as Muon and AdamW, share one norm. See `Handle` for what
        happens in a step. Give the GradScaler where there is one.

        Raises ValueError for a clipper that clips losses: a step comes too late for them; for
        parameters of FullyShardedDataParallel; where this clipper, or another on this optimizer, is
        attached already. TypeError for what isn't an optimizer.
        """
        if self.clips_loss:
            raise ValueError(
                f"{type(self).__name__} clips losses, which an optimizer never sees: "
                "call clip_loss before the backward pass and clip_gradients after it"
            )
        return Handle(self._clip_known, optimizer, scaler)

    @abstractmethod
    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        """Limits finite gradients in place, given their global norm and each one's own.

        No norm is 0: a gradient of exactly zero isn't among them. Only a clipper of losses is
        called without any gradient, and then with a global norm of 0.
        """

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> float | Tensor:
        """The threshold for a norm, () float64, taken in if `recorded`; without a host read."""
        raise ValueError(
            f"{self.label} can't be folded into the optimizer's step: "
            "call clip_gradients and then optimizer.step()"
        )

    def _take(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        """One finite step: counted, and clipped."""
        self._add_counts(steps=1)
        self._step_counts["nonfinite_in_a_row"] = 0
        if 0.0 in norms:
            kept = [index for index, own in enumerate(norms) if own]
            gradients, norms = gradients.only(kept), [norms[index] for index in kept]
        if not norms:
            self._add_counts(zeros=1)
            if not self.clips_loss:  # these have clipped their losses already
                return Clip()
        limit = self._clip(gradients, norm, norms)
        self._add_counts(clipped=limit.clipped)
        advice = self._usage.limited(limit.clipped)
        if advice is not None:
            logger.warning("%s %s", self.label, advice)
        return limit

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self._watch = None
        self._usage = Usage(self.if_all, None if self.clipped else self.if_none)

    def _skip(self) -> None:
        """One step that isn't finite: counted."""
        self._add_counts(steps=1, skipped=1, nonfinite_in_a_row=1)

    def _complain(self, gradients: Gradients, norm: float, norms: list[float]) -> None:
        names = [gradients.name(i) for i, value in enumerate(norms) if not math.isfinite(value)]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        where = f"not finite in {shown}" if names else "no single gradient is to blame"
        if math.isfinite(norm):  # step() took it in float32
            where = "finite, but beyond float32; clip_gradients bears it"
        in_a_row = int(self._step_counts["nonfinite_in_a_row"])
        if in_a_row >= self.max_nonfinite:
            message = f"gradient norm {norm} in {in_a_row} steps in a row: {where}"
            raise NonFiniteGradients(message, names)
        logger.warning("step %d skipped, gradient norm %s: %s", self.steps, norm, where)
