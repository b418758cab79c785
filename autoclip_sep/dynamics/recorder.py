"""Records a training run's dynamics every few steps, around any loop's own step.

A run ends with the same weights, bit for bit, whether its steps were recorded or not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoclip_sep import random_state
from autoclip_sep.clipping import ClipResult
from autoclip_sep.clipping.norms import wide
from autoclip_sep.dynamics.smoothness import Closure, raw_gradients, smoothness, total_norm
from autoclip_sep.records import Records

COLUMNS = (
    "step",  # counts every batch, from 1
    "epoch",
    "loss",  # mean over the batch, before the clipper limited it
    "grad_norm",  # global L2 norm of the plain mean loss' gradient; NaN where it wasn't evaluated
    "threshold",  # inf where there is none
    "scale",  # gradient norm after clipping / before
    "step_norm",  # || theta_t - theta_{t-1} ||, 0 where the step was skipped
    "smoothness",  # local gradient Lipschitz constant along the step, NaN where there is none
    "lr",
    "skipped",  # batches so far whose gradient was not finite
)
NAN = float("nan")


class Probe:
    """What one step hands to the recorder. Set `clip` to what the clipper returned."""

    def __init__(self, parameters: Sequence[Tensor], recording: bool, raw: bool) -> None:
        self.clip: ClipResult | None = None
        self.loss: Tensor | None = None
        self.gradient: list[Tensor] | None = None
        self.recording = recording
        self._raw = raw
        self._parameters = parameters

    def observe(self, loss: Tensor) -> None:
        """Note the loss (any shape) and, after backward and before clipping, its gradient."""
        if not self.recording:
            return
        self.loss = loss.detach().mean()
        if self._raw:
            self.gradient = [
                torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()
                for p in self._parameters
            ]


class Recorder:
    """One row of `COLUMNS` for every step whose number divides by `every`::

        model = nn.Linear(8, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder = Recorder(model, optimizer, Records("dynamics.csv", COLUMNS), every=20)
        for _ in range(100):
            batch = torch.randn(16, 8)

            def loss_of(batch=batch):
                return (model(batch) - batch.square().mean(1, keepdim=True)).square().mean()

            with recorder.step(closure=loss_of) as probe:
                loss = loss_of()
                loss.backward()
                probe.observe(loss)
                optimizer.step()
            optimizer.zero_grad()

    With a clipper, `probe.clip = clipper.limit_gradients(model.parameters())` after `observe`; with
    an attached one, `probe.clip = handle.last` after the optimizer's step.

    records: where rows go; None records nothing but still counts.
    points: points between the weights before and after the step at which the gradient is taken
        for the smoothness; 0 leaves the smoothness out.
    raw_gradients: whether ``.grad`` is the gradient of the plain mean loss when `Probe.observe` is
        called. Not so with a clipper that limits losses; the closure then gives it once more.
    average: averages a list of tensors over all processes, in place, where there are several.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        records: Records | None,
        *,
        every: int = 20,
        points: int = 1,
        raw_gradients: bool = True,
        average: Callable[[list[Tensor]], object] | None = None,
    ) -> None:
        if every < 1 or points < 0:
            raise ValueError(f"every must be >= 1 and points >= 0, not {every} and {points}")
        self.model, self.optimizer, self.records = model, optimizer, records
        self.every, self.points, self.raw_gradients = every, points, raw_gradients
        self.average = average
        self.epoch = 1
        self.steps = 0
        self.skipped = 0
        self.last: dict[str, Any] = {}
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    @contextmanager
    def step(self, closure: Closure | None = None) -> Iterator[Probe]:
        """Surround forward, backward, clipping and optimizer step of one batch.

        closure: evaluates the mean loss of this batch at the present weights, with a graph.
            Without one no smoothness is recorded.
        """
        self.steps += 1
        recording = self.steps % self.every == 0
        probe = Probe(self._parameters, recording, self.raw_gradients)
        if recording:
            random_before = random_state.capture()
            start = [p.detach().clone() for p in self._parameters]
        yield probe
        if probe.clip is not None and not bool(probe.clip.finite):
            self.skipped += 1
        if recording:
            self._record(probe, start, random_before, closure)

    def _record(
        self,
        probe: Probe,
        start: list[Tensor],
        random_before: random_state.RandomState,
        closure: Closure | None,
    ) -> None:
        steps = torch._foreach_sub([p.detach() for p in self._parameters], start)
        step_norm = float(total_norm(steps))
        smooth = NAN
        if closure is not None and self.points and step_norm > 0:
            with self._undisturbed():
                smooth = self._smoothness(probe, start, random_before, closure)
        norm = threshold = scale = NAN
        if probe.clip is not None:
            norm = float(probe.clip.norm) if self.raw_gradients else NAN
            threshold, scale = float(probe.clip.threshold), float(probe.clip.scale)
        if probe.gradient is not None and (probe.clip is None or not self.raw_gradients):
            norm = float(total_norm(probe.gradient))
        loss = NAN
        if probe.loss is not None:
            losses = [probe.loss.to(wide(probe.loss.device))]
            if self.average is not None:
                self.average(losses)
            loss = float(losses[0])
        self.last = {
            "step": self.steps, "epoch": self.epoch, "loss": loss, "grad_norm": norm,
            "threshold": threshold, "scale": scale, "step_norm": step_norm, "smoothness": smooth,
            "lr": float(self.optimizer.param_groups[0]["lr"]), "skipped": self.skipped,
        }  # fmt: skip
        if self.records is not None:
            self.records.append(self.last)

    def _smoothness(
        self,
        probe: Probe,
        start: list[Tensor],
        random_before: random_state.RandomState,
        closure: Closure,
    ) -> float:
        def gradients() -> list[Tensor]:
            random_state.restore(random_before)  # the step's own dropout masks
            found = raw_gradients(closure(), self._parameters)
            if self.average is not None:
                self.average(found)
            return found

        if probe.gradient is None:
            end = [p.detach().clone() for p in self._parameters]
            self._set_weights(start)
            probe.gradient = gradients()
            self._set_weights(end)
        return smoothness(gradients, self._parameters, start, probe.gradient, self.points)

    def _set_weights(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Buffers (BatchNorm's running statistics) and random state end as they came."""
        random_now = random_state.capture()
        buffers = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
            random_state.restore(random_now)

    def state_dict(self) -> dict[str, int]:
        """Counters, for exact resume."""
        return {"steps": self.steps, "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on counting from a saved state."""
        self.steps, self.skipped = state["steps"], state["skipped"]
