"""Branches: a run that goes on from a step of another one, its trunk, with other settings.

Weights, data order, random state and position are the trunk's. The optimizer's moments, the
schedule and the clipper's memory are, too, as far as the branch's own can take them over.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.runs import checkpoint, records
from autoclip_sep.runs.checkpoint import CheckpointFolder, State, position
from autoclip_sep.training import distributed, taking_over
from autoclip_sep.training.trainer import Trainer

OPTIONAL = {"average", "scaler", "validations"}  # parts of a run's state, by its settings


@dataclass(frozen=True)
class Branch:
    """Where a branch leaves its trunk, and what of it is as in the trunk.

    same_clipper: its class. same_optimizer: its class. same_schedule: with the learning rate.
    """

    trunk: Path
    step: int
    same_clipper: bool
    same_optimizer: bool
    same_schedule: bool


def has_begun(directory: Path) -> bool:
    """Whether a branch has a checkpoint of its own: its trunk isn't needed any more."""
    return bool(CheckpointFolder(directory / "checkpoints").paths("last"))


def from_the_start(branch: Branch, directory: Path) -> bool:
    """Whether the trunk must be replayed from its first step on: it kept no earlier checkpoint."""
    return not CheckpointFolder(directory / "checkpoints").paths("trunk") and not _nearest(branch)


def start(branch: Branch, directory: Path) -> dict[str, Any]:
    """What provenance.json says of a new branch; empty where its replay was interrupted."""
    if CheckpointFolder(directory / "checkpoints").paths("trunk"):
        return {}
    found = _nearest(branch)
    name, sha256 = (found.name, checkpoint.digest(found)) if found else (None, None)
    return {"branch_from": str(branch.trunk), "step": branch.step,
            "checkpoint": name, "sha256": sha256}  # fmt: skip


def check_step(branch: Branch, replay: Trainer, trainer: Trainer) -> None:
    """Raises InputError for a step that the trunk never comes to, or where the branch ends."""
    total = replay.settings.epochs * replay.loader.steps
    if branch.step > total:
        raise InputError(f"step={branch.step}: {branch.trunk} has {total} steps")
    if branch.step >= trainer.settings.epochs * trainer.loader.steps:
        raise InputError(f"step={branch.step}: no step is left after it; raise trainer.epochs")


def begin_and_fit(branch: Branch, replay: Trainer, trainer: Trainer) -> None:
    """Bring a new branch to its first checkpoint and train it; every process calls this.

    The trunk's nearest checkpoint up to the step is copied, with its records; `replay`, a trainer
    of the trunk's settings in the branch's directory, goes on from there to the step, or from the
    start where there is none. An interrupted replay is resumed. Nothing is written to the trunk.
    """
    folder = trainer.saved.checkpoints
    if trainer.saved.first and not folder.paths("trunk"):
        found = _nearest(branch)
        if found is not None:
            _copy(branch.trunk, found, trainer.saved.directory, trainer.report.columns)
        begun = position(found)[0] if found else 0
        if begun < branch.step:
            tqdm.write(f"replaying steps {begun + 1} to {branch.step} of {branch.trunk}")
        replay.saved.announced = True
    replay.loader = trainer.loader  # the same batches, read by the same workers
    distributed.gather(None)  # all wait for the first process' files, here and below
    replay.fit(until=branch.step)
    if replay.recorder.steps < branch.step:
        raise InputError(
            f"step={branch.step}: {branch.trunk} ends at step {replay.recorder.steps}: "
            f"{replay.validations.stopped}"
        )
    distributed.gather(None)
    take_over(branch, trainer)
    trainer.saved.save(keep=True)
    if trainer.saved.first:
        for path in folder.paths("trunk"):
            checkpoint.delete(path)
    distributed.gather(None)
    trainer.fit()


def take_over(branch: Branch, trainer: Trainer) -> None:
    """Load the trunk's state at the step into the branch's objects, as far as they take it."""
    saved = trainer.saved
    state = distributed.from_first(saved.checkpoints.newest("trunk")[0] if saved.first else None)
    if state is None:
        raise InputError(f"{saved.directory} has lost its checkpoints: move it away")
    try:
        state, line = _taken_over(branch, trainer, state)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        where = saved.checkpoints.folder
        raise InputError(f"the checkpoint in {where} is not of its trunk: {error}") from error
    saved.load(state)
    if saved.first:
        tqdm.write(f"branch of {branch.trunk} at step {branch.step}; {line}")
        saved.announced = True


def _taken_over(branch: Branch, trainer: Trainer, state: State) -> tuple[State, str]:
    """The state that the branch begins with, and a line about its clipper."""
    saved, parts = trainer.saved, trainer.parts
    own: State = {}
    if not saved.checkpoints.paths("best"):  # the trunk's was replaced by a later one
        own["best"] = float("inf")
    for key in saved.parts.keys() - state.keys():  # what the trunk was trained without
        own[key] = saved.parts[key].state_dict()
    if trainer.average is not None:
        average = state.get("average", {**own.get("average", {}), "weights": state["model"]})
        known = bool(saved.checkpoints.paths("ema"))
        own["average"] = {**average, "best": average["best"] if known else float("inf")}
    if "validations" in own:
        own["validations"] = {"step": state["recorder"]["steps"], "since_best": 0}
    if not branch.same_schedule:
        rows = records.read(saved.directory / "history.csv") if state["epoch"] > 1 else []
        taking_over.advance(parts.scheduler, rows, state["epoch"] - 1, state["recorder"]["steps"])
        own["scheduler"] = parts.scheduler.state_dict()
    own["optimizer"] = taking_over.optimizer(
        state["optimizer"], parts.optimizer,
        same_class=branch.same_optimizer, same_rate=branch.same_schedule,
    )  # fmt: skip
    norms = state.get("spikes", {}).get("norms", [])
    own["clipper"], line = taking_over.clipper(
        state["clipper"], norms, parts.clipper, same_class=branch.same_clipper
    )
    unused = OPTIONAL - saved.parts.keys()
    return {key: part for key, part in {**state, **own}.items() if key not in unused}, line


def _nearest(branch: Branch) -> Path | None:
    """The trunk's latest whole checkpoint up to the step."""
    folder = CheckpointFolder(branch.trunk / "checkpoints")
    found = [path for kind in ("last", "kept") for path in folder.paths(kind)]
    before = [path for path in found if position(path)[0] <= branch.step]
    for path in sorted(before, key=position, reverse=True):
        try:
            checkpoint.load(path)
        except InputError as error:
            tqdm.write(f"{error}; taking the one before")
        else:
            return path
    return None


def _copy(trunk: Path, found: Path, directory: Path, files: Collection[str]) -> None:
    """Records, the best networks so far, and last the checkpoint: it says that all is there.

    files: the names of the records that the branch will have, too.
    """
    for name in files:
        path = trunk / f"{name}.csv"
        if path.is_file():
            write_whole(directory / path.name, path.read_bytes())
    state = checkpoint.load(found)
    lowest = {"best": state.get("best"), "ema": state.get("average", {}).get("best")}
    for kind, name in (("best", "history"), ("ema", "ema")):
        losses = {int(row["step"]): row["valid_loss"] for row in _rows(trunk / f"{name}.csv")}
        for best in CheckpointFolder(trunk / "checkpoints").paths(kind) if name in files else ():
            step = position(best)[0]
            is_lowest = float(losses.get(step, "nan")) == lowest[kind]
            if step <= position(found)[0] and is_lowest:
                checkpoint.copy(best, directory / "checkpoints" / best.name)
    checkpoint.copy(found, directory / "checkpoints" / f"trunk{found.name[4:]}")


def _rows(path: Path) -> list[records.Row]:
    try:
        return records.read(path)
    except InputError:  # none yet
        return []
