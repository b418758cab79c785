"""Records a training run's dynamics every few steps, around any loop's own step.

A run ends with the same weights, bit for bit, whether its steps were recorded or not. What can't
be known of a step is NaN in its row, with one line in the log that gives the reason.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from autoclip_sep.clipping.gradients import is_sharded
from autoclip_sep.dynamics.backward import Closure, Start, evaluate, undisturbed
from autoclip_sep.dynamics.probe import Probe
from autoclip_sep.dynamics.smoothness import differences, smoothness, total_norm
from autoclip_sep.runs.records import Records

COLUMNS = (
    "step",  # counts every batch, from 1
    "epoch",
    "loss",  # mean over the batch, before the clipper clipped it
    "grad_norm",  # global L2 norm of the plain mean loss' gradient; NaN where it wasn't evaluated
    "threshold",  # inf where there is none
    "scale",  # gradient norm after clipping / before
    "step_norm",  # || theta_t - theta_{t-1} ||, 0 where the step was skipped
    "smoothness",  # local gradient Lipschitz constant along the step, NaN where there is none
    "lr",
    "skipped",  # batches so far whose gradient was non-finite
)
NAN = float("nan")
# How far the closure may be from what was observed. Sums of micro-batches in bfloat16 come to 0.01.
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 0.01, 0.05

logger = logging.getLogger(__name__)


class Unknown(Exception):
    """The reason why a column of a row can't be known."""


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

    With a clipper, `probe.clip = clipper.clip_gradients(model.parameters())` after `observe`; with
    an attached one, `probe.clip = handle.last` after the optimizer's step.

    Parameters are looked up at every recorded step: those of the model and of the optimizer that
    require a gradient then. Where several processes train one model, each of them has a Recorder,
    with records in the first only.

    records: where rows go; None records nothing but still counts.
    points: points between the weights before and after the step at which the gradient is taken
        for the smoothness; 0 leaves the smoothness out.
    raw_gradients: whether ``.grad`` is the gradient of the plain mean loss when `Probe.observe` is
        called. Not so with a clipper that clips losses; the closure then gives it once more.
    average: averages a list of tensors over all processes, in place, where there are several: the
        loss, and the closure's gradients unless they are sharded. What DDP has averaged before
        stays as it is.
    scaler: the loop's GradScaler, without which float16 gradients of the closure would underflow.

    Raises ValueError unless every >= 1 and points >= 0.
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
        scaler: GradScaler | None = None,
    ) -> None:
        if every < 1 or points < 0:
            raise ValueError(f"every must be >= 1 and points >= 0, not {every} and {points}")
        self.model, self.optimizer, self.records = model, optimizer, records
        self.every, self.points, self.raw_gradients = every, points, raw_gradients
        self.average, self.scaler = average, scaler
        self.epoch = 1
        self.steps = 0
        self.skipped = 0
        self.last: dict[str, Any] = {}
        self._checked = False  # whether the closure gave the observed gradient when last asked
        self._evaluated = 0  # recorded steps whose closure was evaluated
        self._warned: set[str] = set()

    @contextmanager
    def step(self, closure: Closure | None = None) -> Iterator[Probe]:
        """Surrounds forward, backward, clipping and optimizer step of one batch.

        closure: evaluates the mean loss of this step at the present weights, with a graph; or gives
            the parts that it is the sum of, one micro-batch after the other, as a generator does.
            Without one no smoothness is recorded.

        Where the closure fails the row has NaN and training goes on; where several processes train,
        which a failed one would leave waiting, the error is raised once the weights are back.
        """
        self.steps += 1
        recording = self.steps % self.every == 0
        probe = Probe(self._trained, self.optimizer, self.scaler, recording, self.raw_gradients)
        start = self._start() if recording else None
        yield probe
        if probe.clip is not None and not bool(probe.clip.finite):
            self.skipped += 1
        if recording:
            self._record(probe, start, closure)

    def _trained(self) -> list[Tensor]:
        return [p for p in self._reached() if p.requires_grad]

    def _start(self) -> Start | None:
        try:
            return Start(self.model, self._trained())
        except (RuntimeError, ValueError) as error:
            self._warn("the weights before a step can't be kept", error)
            return None

    def _record(self, probe: Probe, start: Start | None, closure: Closure | None) -> None:
        step_norm = smooth = NAN
        try:
            if start is not None:
                step_norm = self._step_norm(start)
                if not start.parameters:
                    raise Unknown("every parameter is frozen: there is no smoothness")
                if closure is not None and self.points and step_norm > 0:
                    smooth = self._smoothness(probe, start, closure)
        except Unknown as unknown:
            self._warn(str(unknown))
        except Exception as error:
            if world_size() > 1:
                raise
            self._warn("the closure failed", error)
        norm = threshold = scale = NAN
        if probe.clip is not None:
            norm = float(probe.clip.norm) if self.raw_gradients else NAN
            threshold, scale = float(probe.clip.threshold), float(probe.clip.scale)
        if start is None:
            pass  # its gradient may be one shard's
        elif probe.gradient is not None and (probe.clip is None or not self.raw_gradients):
            norm = float(total_norm(probe.gradient))
        elif probe.gradient is None and probe.loss is not None and self.raw_gradients:
            self._warn("no parameter has a gradient when it is observed: do so after backward")
        lr = self.optimizer.param_groups[0]["lr"] if probe.lr is None else probe.lr
        self.last = {
            "step": self.steps, "epoch": self.epoch, "loss": self._mean_loss(probe),
            "grad_norm": norm, "threshold": threshold, "scale": scale, "step_norm": step_norm,
            "smoothness": smooth, "lr": float(lr), "skipped": self.skipped,
        }  # fmt: skip
        if self.records is not None:
            self.records.append(self.last)

    def _mean_loss(self, probe: Probe) -> float:
        """The loss, averaged over all processes where `average` was given; NaN if unobserved."""
        if probe.loss is None:
            return NAN
        losses = [probe.loss.cpu().double() if probe.loss.is_mps else probe.loss.double()]
        if self.average is not None:
            self.average(losses)
        return float(losses[0])

    def _step_norm(self, start: Start) -> float:
        now = self._trained()
        if [(id(p), p.shape) for p in now] != [
            (id(p), w.shape) for p, w in zip(start.parameters, start.weights, strict=True)
        ]:
            raise Unknown("parameters were frozen, thawed, added or resized in a recorded step")
        with torch.no_grad():
            return float(total_norm(differences(now, start.weights)))

    def _smoothness(self, probe: Probe, start: Start, closure: Closure) -> float:
        parameters = self._reached()
        if any(getattr(p, "_post_accumulate_grad_hooks", None) for p in parameters):
            raise Unknown(
                "parameters have post-accumulate-grad hooks, in which an optimizer may step: no "
                "gradient is taken a second time"
            )
        scaler = self.scaler
        factor = scaler.get_scale() if scaler is not None and scaler.is_enabled() else 1.0

        def evaluated() -> tuple[float, list[Tensor]]:
            start.surroundings()
            loss, found = evaluate(closure, start.parameters, factor)
            if self.average is not None:
                self.average([gradient for gradient in found if not is_sharded(gradient)])
            return loss, found

        self._evaluated += 1
        power_of_two = self._evaluated & (self._evaluated - 1) == 0  # a loop may change on its way
        with undisturbed(self.model, parameters):
            if probe.gradient is None or not self._checked or power_of_two:
                with start.returned():
                    loss, found = evaluated()
                self._check(probe, loss, found)
                probe.gradient = found if probe.gradient is None else probe.gradient
            return smoothness(
                lambda: evaluated()[1], start.parameters, start.weights, probe.gradient, self.points
            )

    def _reached(self) -> list[Tensor]:
        """All parameters that a backward pass may reach: a loss may have some too."""
        others = (p for group in self.optimizer.param_groups for p in group["params"])
        return list({id(p): p for p in (*self.model.parameters(), *others)}.values())

    def _check(self, probe: Probe, loss: float, gradient: list[Tensor]) -> None:
        """Compares the closure's loss and gradient before the step with the observed ones.

        Raises Unknown where its gradient is another one.
        """
        seen = NAN if probe.loss is None else float(probe.loss)
        same_loss = not (math.isfinite(seen) and math.isfinite(loss)) or math.isclose(
            loss, seen, rel_tol=LOSS_TOLERANCE, abs_tol=1e-6
        )
        mismatch = (
            f"the closure's loss before the step is {loss:.4g}, the observed one {seen:.4g}: the "
            "closure must evaluate the mean loss of all of the step's micro-batches"
        )
        if probe.gradient is not None:
            apart = float(total_norm(differences(gradient, probe.gradient)))
            norm = float(total_norm(probe.gradient))
            differs = apart > GRADIENT_TOLERANCE * norm
            self._checked = math.isfinite(apart) and not differs
            if differs:
                raise Unknown(f"{mismatch} (gradients are {apart:.2g} apart, of norm {norm:.2g})")
        elif not self.raw_gradients and not same_loss:
            raise Unknown(mismatch)
        if not same_loss:
            self._warn(mismatch)

    def _warn(self, reason: str, error: Exception | None = None) -> None:
        """Logs each reason once."""
        kind = reason.partition(" is ")[0]
        if kind not in self._warned:
            self._warned.add(kind)
            why = f" ({type(error).__name__}: {' '.join(str(error).split())})" if error else ""
            logger.warning("step %d: %s%s", self.steps, reason, why)

    def state_dict(self) -> dict[str, int]:
        """Counters, for exact resume."""
        return {"steps": self.steps, "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores a saved state."""
        self.steps, self.skipped = state["steps"], state["skipped"]


def world_size() -> int:
    """The number of processes that train together, 1 without torch.distributed."""
    distributed = torch.distributed
    initialized = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if initialized else 1
