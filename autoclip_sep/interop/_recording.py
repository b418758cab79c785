"""What the recording callbacks for training frameworks share: a run's Recorder and its Spikes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.amp.grad_scaler import GradScaler

from autoclip_sep import random_state
from autoclip_sep.clipping import ClipResult
from autoclip_sep.clipping.norms import gradient_norm
from autoclip_sep.dynamics import COLUMNS, SPIKE_COLUMNS, Probe, Recorder, Spikes
from autoclip_sep.dynamics.recorder import world_size
from autoclip_sep.interop._attach import require_supported
from autoclip_sep.runs.records import Records

Items = Callable[[Any], Sequence[str]]
logger = logging.getLogger(__name__)


class RunRecording:
    """dynamics.csv and spikes.csv of a run whose loop belongs to a framework.

    evaluate: gives a micro-batch's share of the step's loss, with a graph or backpropagated.
    items: names the examples of a batch; by default a batch is one item, `batch 17`.
    every, points: as in `Recorder`. spike_options: of `Spikes`.
    """

    _step: AbstractContextManager[Probe] | None  # open from its first micro-batch on
    _batches: list[tuple[tuple[Any, ...], random_state.RandomState]]
    _losses: dict[int, Tensor]
    _names: dict[int, list[str]]

    def __init__(
        self,
        folder: str | Path,
        evaluate: Callable[..., Tensor],
        items: Items | None,
        every: int,
        points: int,
        spike_options: dict[str, Any],
    ) -> None:
        self.folder, self.evaluate, self.items = Path(folder), evaluate, items
        self.every, self.points, self.spike_options = every, points, spike_options
        Spikes(None, **spike_options)  # refuses impossible ones before a run begins
        self.recorder: Recorder | None = None
        self._state: dict[str, Any] = {}
        self._records: list[Records] = []
        self.drop()

    def begin(
        self,
        model: nn.Module,
        optimizer: Any,
        step: int,
        scaler: GradScaler | None,
        writes: bool,
    ) -> None:
        """Begins anew where the framework is at step 0, else resumes; later rows are dropped.

        Raises InputError for optimizers that aren't torch's (DeepSpeed's) and under FSDP1.
        """
        require_supported("Recording", optimizer, model)
        self.close()
        files = {"dynamics": COLUMNS, "spikes": SPIKE_COLUMNS} if writes else {}
        self._records = [Records(self.folder / f"{n}.csv", c) for n, c in files.items()]
        for records in self._records:
            records.keep(lambda row: int(row["step"]) <= step)
        dynamics, spikes = self._records or (None, None)
        self.recorder = Recorder(
            model, optimizer, dynamics,
            every=self.every, points=self.points, average=_average, scaler=scaler,
        )  # fmt: skip
        self.spikes = Spikes(spikes, gather=_gather, **self.spike_options)
        self.recorder.steps = step
        if step and self._state:
            self.recorder.load_state_dict(self._state["recorder"])
            self.spikes.load_state_dict(self._state["spikes"])
        elif step:
            logger.warning("the checkpoint holds no state of Recording: its counts start anew")

    def batch(self, batch: Any, arguments: tuple[Any, ...], number: int, epoch: int) -> None:
        """A micro-batch begins, and with the first one a step. arguments: those of `evaluate`."""
        if self.recorder is None:
            return
        if self._step is None:
            self.recorder.epoch = epoch
            self._step = self.recorder.step(self._parts)
            self._probe = self._step.__enter__()
        if self._probe.recording:
            self._batches.append((arguments, random_state.capture()))
        names = self.items(batch) if self.items else [f"batch {number}"]
        self._number, self._names[number] = number, list(names)

    def loss(self, loss: Tensor) -> None:
        """A micro-batch's share of the step's loss, 0-dim."""
        self._losses[self._number] = loss.detach()

    def observe(self) -> None:
        """All gradients of a step are there and nothing has clipped them."""
        if self.recorder is None or not self._losses:
            return
        total = torch.stack(list(self._losses.values())).sum()
        parameters = [p for p in self.recorder.model.parameters() if p.requires_grad]
        norm = gradient_norm(parameters) / self._probe.scale
        self._probe.observe(total)
        names, losses = [], []
        for number, loss in self._losses.items():
            names += self._names[number]
            losses.append((loss * len(self._losses)).expand(len(self._names[number])))
        step, epoch = self.recorder.steps, self.recorder.epoch
        self.spikes.watch(norm, torch.cat(losses), names, step=step, epoch=epoch)

    def end(self, clip: ClipResult | None) -> None:
        """The optimizer's step is done."""
        if self._step is not None:
            self._probe.clip = clip
            self._step.__exit__(None, None, None)
        self.drop()

    def close(self) -> None:
        """The run is over, or was interrupted."""
        self._state = self.state_dict()
        self.drop()
        while self._records:
            self._records.pop().close()
        self.recorder = None

    def drop(self) -> None:
        """Forgets a step that was begun."""
        self._step, self._batches, self._losses, self._names = None, [], {}, {}

    def _parts(self) -> Iterator[Tensor]:
        for arguments, random in self._batches:
            random_state.restore(random)
            yield self.evaluate(*arguments)

    def state_dict(self) -> dict[str, Any]:
        """Counters and norms, numbers and lists of numbers only."""
        if self.recorder is None:
            return self._state
        return {"recorder": self.recorder.state_dict(), "spikes": self.spikes.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keeps a state for the run that begins next."""
        self._state = state


def _average(tensors: list[Tensor]) -> None:
    if world_size() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= world_size()


def _gather(value: Any) -> list[Any]:
    values = [value] * world_size()
    if len(values) > 1:
        distributed.all_gather_object(values, value)
    return values
