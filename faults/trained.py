"""The run that everything happens to: seconds of real training, with a checkpoint at each step."""

import shutil
from functools import partial
from pathlib import Path

from autoclip_sep.runs import checkpoint
from autoclip_sep.runs.checkpoint import CheckpointFolder
from faults import forked
from faults.operations import note, watch
from tests.commands import command
from tests.conftest import _assert_same
from tests.golden.make import TRAIN, only_run, write_corpus

SHORT = ("trainer.epochs=2", "trainer.checkpoint_every=2")  # for what is tried at each operation
RECORDS = ("dynamics.csv", "spikes.csv", "history.csv")  # timing.csv has other times each time


class Place:
    """A folder where commands run, with a corpus, and two runs that nothing happened to.

    straight: 16 steps in 4 epochs. seconds: what it took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_corpus(folder / "corpus")
        command(folder, "scripts/check_data.py", *(a for a in TRAIN if a.startswith("data")))
        self.straight, self.seconds = self.whole("straight")

    def whole(self, name: str, *arguments: str) -> tuple[Path, float]:
        """A run from its start to its end: its directory, and how many seconds that took."""
        ended = self.train(name, *arguments)
        assert (ended.code, ended.errors) == (0, ""), ended
        return only_run(self.folder / name), ended.seconds

    def arguments(self, name: str, *more: str) -> list[str]:
        """Of the command that trains a run, or goes on with it."""
        other = any(argument.startswith("clipping=") for argument in more)
        kept = [a for a in TRAIN if not (other and a.startswith("percentile="))]
        return [*kept, *more, f"runs={name}"]

    def train(self, name: str, *arguments: str, **how) -> forked.Ended:
        """Train a run, or go on with it, to the end of that."""
        return forked.run(self.folder, "train", *self.arguments(name, *arguments), **how)

    def operations(self, name: str, *arguments: str, reading: bool = False) -> int:
        """How many operations on files it takes to train a run, or to go on with it."""
        log, folder = self.folder / f"{name}.operations", self.folder / name
        log.unlink(missing_ok=True)
        before = partial(_note, folder, log, reading)
        assert self.train(name, *arguments, before=before).code == 0
        self.remove(name)  # or whoever counts again finds a run that is finished
        number = len(log.read_text().splitlines())
        assert number, f"{name}: no operation was counted"
        return number

    def copy(self, run: Path, name: str) -> Path:
        """A copy of a run in a folder of its own, made anew."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        root = run.parents[4]
        shutil.copytree(run, folder / run.relative_to(root))
        return folder / run.relative_to(root)

    def remove(self, name: str) -> None:
        """A run that is no longer wanted."""
        shutil.rmtree(self.folder / name, ignore_errors=True)


def _note(folder: Path, log: Path, reading: bool) -> None:
    watch(folder, note(log), reading)


def assert_same_runs(one: Path, other: Path) -> None:
    """Two runs left the same records and states, to the bit, and no rests."""
    for name in RECORDS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for kind in ("last", "best"):
        left, right = (
            CheckpointFolder(run / "checkpoints").paths(kind)[-1] for run in (one, other)
        )
        assert left.name == right.name
        _assert_same(checkpoint.load(left), checkpoint.load(right))
    assert not rests(other)


def rests(run: Path) -> list[str]:
    """Temporary files of processes that were killed."""
    return [path.name for path in run.rglob("*.tmp")]


def assert_one_line(ended: forked.Ended) -> None:
    """A command that failed said why, in one line."""
    assert ended.code == 2, ended
    assert len(ended.errors.splitlines()) == 1, ended
