"""What every clipper is: two hooks, one result, counters and a state."""

import logging
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from autoclip_sep.clipping._arguments import integer, number
from autoclip_sep.clipping._counters import Counters, State
from autoclip_sep.clipping._fused import DelayedCount, fused_step, require_fused
from autoclip_sep.clipping._misuse import MisuseWarnings
from autoclip_sep.clipping.gradients import Gradients, Parameters, optimizer_parameters
from autoclip_sep.clipping.handle import Handle
from autoclip_sep.clipping.norms import global_norm, read_norms, tensor_norms, wide
from autoclip_sep.clipping.result import (
    Clip,
    ClipResult,
    NonFiniteGradients,
    describe,
    on_device_of,
)
from autoclip_sep.clipping.settings import expand_options, label_of, repr_of

logger = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """What every clipper takes beside its own settings."""

    max_nonfinite: int  # so many steps in a row without a finite norm are an error


class Clipper(Counters, ABC):
    """Clips losses before the backward pass, gradients after it, or both::

        loss = clipper.clip_loss(objective(model(batch), batch)).mean()
        loss.backward()
        result = clipper.clip_gradients(model.named_parameters())
        if result.finite:
            optimizer.step()

    One call of `clip_gradients` for each optimizer step, after accumulation and unscaling.
    A subclass gives `_clip`, keeps the arguments of its class as attributes of the same names, and
    adds what it remembers to `_state` and `_load`::

        class Half(Clipper):
            def __init__(self, share=0.5, **options):
                super().__init__(**options)
                self.share = share

            def _clip(self, gradients, norm, norms):
                gradients.scale(self.share)
                return Clip(scale=self.share, clipped=True)

    max_nonfinite: so many steps in a row without a finite norm raise NonFiniteGradients.
    """

    #: Whether `clip_loss` does anything.
    clips_loss: bool = False
    #: How a label begins, with the settings that are always in it: "zclip_z{z_threshold}". None is
    #: the class's name.
    label_start: str | None = None
    #: What to do where 1000 steps were all clipped, or none of the first 1000 was, if a fixed
    #: setting may be to blame for it.
    if_all: str | None = None
    if_none: str | None = None

    def __init__(self, *, max_nonfinite: int = 10) -> None:
        super().__init__()
        self.max_nonfinite = integer("max_nonfinite", max_nonfinite, 1)
        self._nonfinite_on_device: DelayedCount | None = None
        self._misuse = MisuseWarnings(self.if_all, self.if_none)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            expand_options(cls.__init__, super(cls, cls).__init__)

    @property
    def label(self) -> str:
        """A short name, fit for a folder, with every setting that isn't the class's default:
        `autoclip_p10`, `autoclip_p10_window1000`."""
        return label_of(self, self.label_start)

    __repr__ = repr_of

    def clip_loss(self, loss: Tensor) -> Tensor:
        """The losses to differentiate, one per example, of the shape given."""
        return loss

    @torch.no_grad()
    def clip_gradients(self, parameters: Parameters) -> ClipResult:
        """Clips the gradients in place and reports what was done.

        parameters: as `model.parameters()` gives them; with `model.named_parameters()` errors name
            the parameters.

        A non-finite norm leaves gradients and history alone and counts as skipped. One of exactly
        0 counts in `zeros` and leaves the history alone; a single gradient of 0 is treated as if
        there were none. Without any gradient nothing is counted and the norm is 0.

        Raises NonFiniteGradients after `max_nonfinite` skipped steps in a row, ValueError for
        parameters of FullyShardedDataParallel, TypeError for what is no parameter.
        """
        gradients = Gradients(parameters)
        self._misuse.check(gradients)
        if not len(gradients):
            return describe(torch.zeros((), device="cpu"), Clip(), finite=True)
        norm, total, each = read_norms(gradients)
        if not math.isfinite(total):
            self._count_skipped()
            self._report_skipped(gradients, total, each)
            return describe(norm, Clip(), finite=False)
        return describe(norm, self._clip_finite(gradients, total, each), finite=True)

    @torch.no_grad()
    def step(self, optimizer: Optimizer) -> ClipResult:
        """Takes a fused optimizer's step with the clip folded into it; the host waits for nothing.

        In place of `clip_gradients` and `optimizer.step()`, for clippers that scale all gradients
        by one factor: NoClipping, NormClipping, AutoClip with scope "global". A step with a
        non-finite norm is skipped on the device. After `max_nonfinite` of them in a row
        NonFiniteGradients is raised as soon as the count has reached the host, maybe some steps
        later.

        Gradients must be unscaled. Unlike in `clip_gradients` norms are float32 ones: above 1.8e19
        non-finite, below 1e-19 inexact, and 0 below 1e-23. Reading the result waits for the
        device; so do the counts and `state_dict`. Raises ValueError for other clippers and
        optimizers.
        """
        require_fused(optimizer)
        gradients = Gradients(optimizer_parameters(optimizer))
        self._misuse.check(gradients)
        if not len(gradients):
            return describe(torch.zeros((), device="cpu"), Clip(), finite=True)
        norm = global_norm(tensor_norms(gradients))
        delayed = self._nonfinite_on_device = self._nonfinite_on_device or DelayedCount(norm.device)
        if delayed.latest() >= self.max_nonfinite:
            self._report_skipped(gradients, *read_norms(gradients)[1:])
        finite = torch.isfinite(norm)
        zero = norm == 0
        recorded = finite & ~zero
        precise = norm.to(wide(norm.device))
        threshold = self._device_threshold(precise, recorded)
        threshold = on_device_of(norm, threshold, precise.dtype)
        clipped = finite & (norm > threshold)
        divisor = torch.where(clipped, norm / threshold, 1.0)
        fused_step(optimizer, divisor.float(), finite)
        self._add_counts(steps=1, clipped=clipped, skipped=~finite, zeros=zero)
        in_a_row = torch.where(finite, 0, self._step_counts["nonfinite_in_a_row"] + 1)
        self._step_counts["nonfinite_in_a_row"] = in_a_row
        delayed.send(in_a_row)
        threshold = torch.where(recorded, threshold, math.inf)
        return describe(norm, Clip(threshold, divisor.reciprocal(), clipped), finite=finite)

    def attach(
        self, optimizer: Optimizer | Sequence[Optimizer], scaler: GradScaler | None = None
    ) -> Handle:
        """Clips gradients in every `optimizer.step()` from now on, for loops one doesn't own.

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
        return Handle(self.clip_gradients, optimizer, scaler)

    @abstractmethod
    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        """Clips finite gradients in place, given their global norm and each one's own.

        No norm is 0: a gradient of exactly zero isn't among them. Only a clipper of losses is
        called without any gradient, and then with a global norm of 0.
        """

    def _device_threshold(self, norm: Tensor, recorded: Tensor) -> float | Tensor:
        """The threshold for a norm, () float64, which enters if `recorded`; without a host read."""
        raise ValueError(
            f"{self.label} can't be folded into the optimizer's step: "
            "call clip_gradients and then optimizer.step()"
        )

    def _clip_finite(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        """One step with a finite norm: counted, and clipped."""
        self._add_counts(steps=1)
        self._step_counts["nonfinite_in_a_row"] = 0
        if 0.0 in norms:
            kept = [index for index, own in enumerate(norms) if own]
            gradients, norms = gradients.only(kept), [norms[index] for index in kept]
        if not norms:
            self._add_counts(zeros=1)
            if not self.clips_loss:  # these have clipped their losses already
                return Clip()
        clip = self._clip(gradients, norm, norms)
        self._add_counts(clipped=clip.clipped)
        advice = self._misuse.advice(clip.clipped)
        if advice is not None:
            logger.warning("%s %s", self.label, advice)
        return clip

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self._nonfinite_on_device = None
        self._misuse = MisuseWarnings(self.if_all, None if self.clipped else self.if_none)

    def _count_skipped(self) -> None:
        """One step with a non-finite norm."""
        self._add_counts(steps=1, skipped=1, nonfinite_in_a_row=1)

    def _report_skipped(self, gradients: Gradients, norm: float, norms: list[float]) -> None:
        """Warns, or raises NonFiniteGradients where there have been too many in a row."""
        names = [gradients.name(i) for i, value in enumerate(norms) if not math.isfinite(value)]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        where = f"not finite in {shown}" if names else "no single gradient is to blame"
        if math.isfinite(norm):  # step() took it in float32
            where = "finite, but beyond float32; use clip_gradients"
        in_a_row = int(self._step_counts["nonfinite_in_a_row"])
        if in_a_row >= self.max_nonfinite:
            message = f"gradient norm {norm} in {in_a_row} steps in a row: {where}"
            raise NonFiniteGradients(message, names)
        logger.warning("step %d skipped, gradient norm %s: %s", self.steps, norm, where)

    def limit_loss(self, loss: Tensor) -> Tensor:
        """Deprecated: call `clip_loss`."""
        warnings.warn("limit_loss is deprecated: call clip_loss", DeprecationWarning, stacklevel=2)
        return self.clip_loss(loss)

    def limit_gradients(self, parameters: Parameters) -> ClipResult:
        """Deprecated: call `clip_gradients`."""
        message = "limit_gradients is deprecated: call clip_gradients"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.clip_gradients(parameters)


class FixedThreshold(Clipper):
    """What clippers with one fixed threshold share.

    threshold: a positive number, in the unit of the gradients; else ValueError.
    """

    if_none = "lower the threshold, unless it is there for rare spikes only"

    def __init__(self, threshold: float = 1.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.threshold = number("threshold", threshold, 0, math.inf, "()")
