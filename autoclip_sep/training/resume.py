"""Saves a run in checkpoints, and restores it bit for bit from the newest one."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from autoclip_sep import random_state
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, State
from autoclip_sep.runs.saved_state import not_finite
from autoclip_sep.training import distributed, state_check


@dataclass
class Progress:
    """The position of a run.

    epoch: the one in progress, from 1. batch: the number of its finished batches. best: the lowest
    validation loss so far.
    """

    epoch: int = 1
    batch: int = 0
    best: float = float("inf")


class SavedRun:
    """The checkpoints of a run and its state.json. Every process restores, the first one saves.

    parts: the objects on whose state the rest of the run depends, beside progress and the random
    number generators, by their keys in a checkpoint; None is left out. kind: of its checkpoints.
    keeps: whether that of a step is kept for good, too. announced: whether a line said already
    where it goes on.
    """

    announced = False

    def __init__(
        self, directory: Path, progress: Progress, parts: Mapping[str, Any], device: torch.device,
        kind: str = "last", keeps: Callable[[int], bool] = lambda step: False,
    ) -> None:  # fmt: skip
        self.directory, self.progress = directory, progress
        self.parts = {key: part for key, part in parts.items() if part is not None}
        self.device, self.kind, self.keeps = device, kind, keeps
        self.checkpoints = CheckpointFolder(directory / "checkpoints")
        self.first = distributed.rank() == 0

    def open(self) -> None:
        """Create the folder of checkpoints, and delete leftovers of killed saves."""
        if self.first:
            self.checkpoints.open()

    def save(self, keep: bool = False) -> None:
        """Save everything needed to resume from here; processes wait for each other.

        keep: whether to keep a copy for good, whatever the settings say.

        Raises InputError as `check_finite` does, and where the disk is full.
        """
        self.check_finite()
        random_states = distributed.gather(random_state.capture())
        if self.first:
            epochs, state = self.progress.epoch - 1, self.state(random_states)
            if keep or self.keeps(self.steps):
                self.checkpoints.save("kept", self.steps, epochs, state, keep=None)
            self.checkpoints.save(self.kind, self.steps, epochs, state)
            self.write_status("running")

    def state(self, random: list[random_state.RandomState]) -> State:
        """The content of a checkpoint; random: the generators' states of every process."""
        return {
            **asdict(self.progress),
            **{key: part.state_dict() for key, part in self.parts.items()},
            "random": random,
            "environment": self._environment(),
        }

    def save_network(self, kind: str, model: nn.Module) -> None:
        """Save a network as the newest of its kind, such as the best one."""
        if self.first:
            epochs = self.progress.epoch - 1
            state = {"model": model.state_dict(), "epoch": epochs}
            self.checkpoints.save(kind, self.steps, epochs, state)

    @property
    def steps(self) -> int:
        """The number of finished batches."""
        return int(self.parts["recorder"].steps)

    def check_finite(self) -> None:
        """Raises InputError where a weight, a buffer or the optimizer's state isn't finite.

        No later step repairs that, so such a run is neither saved nor called finished.
        """
        place = not_finite(self.parts["model"].state_dict(), "model")
        moments = self.parts["optimizer"].state_dict()["state"]
        place = place or not_finite(moments, "optimizer")
        if place:
            raise InputError(
                f"{place} is not finite at step {self.steps}: not saved, the last checkpoint is "
                "intact; a new run with a lower optimizer.lr or percentile may help"
            )

    def write_status(self, status: str, reason: str | None = None) -> None:
        """Write state.json: status (running, interrupted, finished), step and epochs.

        reason: why the run finished before its last epoch.
        """
        if self.first:
            early = {"reason": reason} if reason else {}
            run_directory.write_state(
                self.directory, status=status, step=self.steps, epochs=self.progress.epoch - 1,
                **early,
            )  # fmt: skip

    def restore(self) -> bool:
        """Load the newest whole checkpoint; False where there is none.

        Raises InputError where it isn't of this run; nothing is loaded then.
        """
        state: State | None = None
        errors: list[str] = []
        if self.first:
            state, errors = self.checkpoints.newest(self.kind)
            for error in errors:
                tqdm.write(f"{error}; resuming from the one before")
            self.checkpoints.set_aside(self.kind, len(errors))
        state = distributed.from_first(state)  # another machine may still see an older folder
        if state is None:
            return False
        environment = self.load(state)
        if self.first:
            self._warn_of_changes(environment)
            if not self.announced:
                tqdm.write(f"resuming from step {self.steps} (epoch {self.progress.epoch})")
        return True

    def load(self, state: State) -> Mapping[str, Any]:
        """Continue from a state; returns the environment that it was saved in.

        Raises InputError where it isn't of this run; nothing is loaded then.
        """
        state = self._checked(state)
        for key, part in self.parts.items():
            if key in state:  # older states may lack one
                part.load_state_dict(state[key])
        for key in asdict(self.progress):
            setattr(self.progress, key, state[key])
        mine = min(distributed.rank(), len(state["random"]) - 1)
        random_state.restore(state["random"][mine])
        environment: Mapping[str, Any] = state["environment"]
        return environment

    def forget_later(self) -> None:
        """Delete best networks and kept checkpoints of later steps, which will be taken again."""
        if self.first:
            for kind in ("best", "ema", "kept"):
                self.checkpoints.discard_after(kind, self.steps)

    def _checked(self, state: State) -> State:
        objects = (self.parts[key] for key in ("model", "optimizer", "clipper"))
        try:
            return state_check.check(state, self.state([]), *objects)
        except ValueError as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"the checkpoint in {self.checkpoints.folder} is not of this run: {reason}"
            ) from error

    def _environment(self) -> dict[str, Any]:
        """What a run's last bits depend on beside its config."""
        return {
            "torch": str(torch.__version__), "threads": torch.get_num_threads(),
            "world": distributed.world(), "device": self.device.type,
        }  # fmt: skip

    def _warn_of_changes(self, saved: Mapping[str, Any]) -> None:
        now = self._environment()
        changed = [f"{k} was {saved[k]}, is {now[k]}" for k in now if saved.get(k) != now[k]]
        if changed:
            tqdm.write(f"warning: {'; '.join(changed)}: the last bits will differ")
