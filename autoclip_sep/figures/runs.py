"""Runs as figures see them: their records and where they came from."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.config import Config

Series = NDArray[np.float64]

Columns = dict[str, Series]

COUNTED = {"step", "epoch"}  # columns of whole numbers

RUNS = "*/*/*/*/seed*/dynamics.csv"  # below the folder of all runs

# Corpora that stand in for others; every picture made from one says so.
STAND_INS = {"demo": "synthetic speech, a stand-in for WSJ0-2mix"}

# The paper's AutoClip: the whole history, the global norm, from the first step on.
PAPERS = {"window": None, "scope": "global", "warmup": 0}


class Table(Columns):
    """A record file's columns; asking for one that it doesn't have raises InputError."""

    def __init__(self, path: Path, content: Mapping[str, Series]) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, key: str) -> Series:
        raise InputError(f"{self._path} has no column {key}: not the records of a run")


@dataclass(frozen=True)
class RunFound:
    """A run directory, or what was kept of one: config.yaml and records."""

    directory: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's settings."""
        return run_directory.read_config(self.directory)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Commit, device, corpus fingerprint, date; empty where none were kept."""
        return run_directory.read_provenance(self.directory)

    @cached_property
    def dynamics(self) -> Columns:
        """dynamics.csv by column."""
        return columns(self.directory / "dynamics.csv")

    @cached_property
    def history(self) -> Columns:
        """history.csv by column."""
        return columns(self.directory / "history.csv")

    @property
    def percentile(self) -> float:
        """p of the paper's AutoClip; 100 for a run without clipping; NaN for all other clippers."""
        clipping = self.config["clipping"]
        kind = str(clipping["_target_"]).rpartition(".")[2]
        if kind == "NoClipping":
            return 100.0
        others = {"_target_", "percentile", "max_nonfinite"}
        varied = any(clipping[key] != PAPERS.get(key) for key in clipping.keys() - others)
        if kind != "AutoClip" or varied or clipping.get("percentile") is None:
            return math.nan
        return float(clipping["percentile"])

    @property
    def clipping(self) -> str:
        """The clipping as a table names it."""
        if self.percentile == 100:
            return "No clipping"
        if math.isfinite(self.percentile):
            return f"AutoClip, p = {self.percentile:g}"
        return self.directory.parent.name

    @property
    def group(self) -> tuple[str, str, str]:
        """Corpus, loss and model with the settings that differ from the defaults: what runs must
        share to be compared."""
        data, loss = self.directory.parts[-5:-3]
        return data, loss, f"{self.model}-{self.changed}" if self.changed else self.model

    @property
    def model(self) -> str:
        """The network as configs/model names it."""
        return self.directory.parts[-3]

    @property
    def changed(self) -> str:
        """Six hex digits for the settings that differ from the defaults; empty where none do."""
        return self.directory.name.partition("-")[2]

    @property
    def iterations(self) -> int:
        """How many steps it has done: to the end of its last epoch, or in its first one so far."""
        try:
            return int(self.history["step"][-1])
        except InputError:
            return int(self.dynamics["step"][-1])

    def score(self, split: str = "test") -> dict[str, Any]:
        """The summary of an evaluation; empty where there is none."""
        path = self.directory / "evaluation" / f"{split}.json"
        numbers = Mapping[str, Real | Mapping[str, Any]]  # NaN is one
        return Config(run_directory.read_json(path, summary=numbers).get("summary", {}), str(path))


def columns(path: Path) -> Columns:
    """A record file by column.

    Raises InputError where it isn't there, is empty, or holds what is no number.
    """
    rows = records.read(path)
    try:
        found = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    except ValueError as error:
        raise InputError(f"{path}: {error}: not the records of a run") from error
    for key in COUNTED & found.keys():
        if not ((found[key] >= 1) & (found[key] < 2**53)).all() or (found[key] % 1).any():
            raise InputError(f"{path}: {key} isn't a whole number from 1 in all rows: not a run's")
    return Table(path, found)


def find(root: Path) -> list[RunFound]:
    """Every run with records below a folder, in the order of their paths.

    Raises InputError where there is none, naming a folder above or below that has some.
    """
    found = sorted(path.parent for path in root.glob(RUNS))
    if not found:
        meant = _meant(root)
        advice = f"did you mean runs={meant}?" if meant else "`make demo` makes two"
        raise InputError(
            f"no runs below {root}: <data>/<loss>/<model>/<clipping>/seed<n> is looked for;"
            f" {advice}"
        )
    return [RunFound(path) for path in found]


def _meant(root: Path) -> Path | None:
    """The folder to name, where the one named lies inside of it or holds it."""
    levels = RUNS.split("/")
    for above in range(1, len(levels)):
        if any(root.glob("/".join(levels[above:]))):
            return Path(os.path.normpath(root / "/".join([".."] * above)))
    return min((run.parents[len(levels) - 1] for run in root.glob(f"*/{RUNS}")), default=None)
