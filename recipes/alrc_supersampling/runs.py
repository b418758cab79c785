"""The runs of ALRC's supersampling experiment as figures see them, whole or as they were kept.

A learning curve is a boxcar average over 500 iterations, as in Ede, Beanland (2020): of every
hundredth, as the mean of five means of a hundred iterations. These means are all that is kept.
"""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs_found import Series, columns
from autoclip_sep.files import write_whole
from autoclip_sep.runs import records, run_directory

BOXCAR, BLOCK = 500, 100  # iterations
SPIKE = 2.0  # times the lowest point of the learning curve so far
RUNS = "supersampling/*/*/batch*/*/*/seed*/records.csv"
KEPT = "courses.csv"


@dataclass(frozen=True)
class Course:
    """One run. Errors are training errors before clipping.

    rate: stable, high, or one that a command gave: lr0.003. changed: six hex digits for other
    settings that differ from their defaults, or nothing. wanted, iterations: a run that diverged
    made fewer than wanted. clipped_share: of its iterations. means: mean error of every hundred.
    """

    images: str
    error: str
    batch_size: int
    optimizer: str
    rate: str
    lr: float
    clipping: str
    seed: int
    changed: str
    wanted: int
    iterations: int
    clipped_share: float
    test_squared_error: float
    commit: str
    device: str
    date: str
    fingerprint: str
    means: tuple[float, ...]

    @property
    def diverged(self) -> bool:
        """Whether it ended early because its gradients weren't finite any more."""
        return self.iterations < self.wanted

    @cached_property
    def iteration(self) -> Series:
        """(N,) the last iteration of each boxcar."""
        return BLOCK * np.arange(BOXCAR // BLOCK, len(self.means) + 1, dtype=np.float64)

    @cached_property
    def curve(self) -> Series:
        """(N,) the boxcar averages; inf where an error in them was not finite."""
        means = np.array(self.means, dtype=np.float64)
        width = BOXCAR // BLOCK
        if len(means) < width:
            return np.empty(0)
        with np.errstate(over="ignore", invalid="ignore"):
            averages = np.lib.stride_tricks.sliding_window_view(means, width).mean(axis=1)
        return np.where(np.isfinite(averages), averages, math.inf)

    @property
    def final(self) -> float:
        """The last boxcar; inf for a run that diverged."""
        return math.inf if self.diverged or not len(self.curve) else float(self.curve[-1])

    @property
    def spikes(self) -> int:
        """How often the curve rises above twice its lowest point so far, having been below."""
        lowest = np.minimum.accumulate(self.curve)
        above = np.concatenate([[False], self.curve > SPIKE * lowest])
        return int(np.sum(above[1:] & ~above[:-1]))


def find(root: Path) -> list[Course]:
    """Every finished run below a folder, and those kept in a table, in the order of their settings.

    Raises InputError where there is none.
    """
    found = [_of_run(path.parent) for path in sorted(root.glob(RUNS)) if _is_finished(path.parent)]
    for path in sorted(root.rglob(KEPT)) if not found else []:
        found += read(path)
    if not found:
        raise InputError(
            f"no finished supersampling runs below {root}: python "
            "recipes/alrc_supersampling/train.py -m experiment=alrc_stability makes them"
        )
    return sorted(found, key=lambda one: [str(getattr(one, key)) for key in IDENTITY])


IDENTITY = ("images", "changed", "error", "optimizer", "rate", "batch_size", "clipping", "seed")


def _is_finished(directory: Path) -> bool:
    return run_directory.read_state(directory).get("status") == "finished"


def _of_run(directory: Path) -> Course:
    config, state = run_directory.read_config(directory), run_directory.read_state(directory)
    came = run_directory.read_json(directory / "provenance.json")
    optimizer, _, rate = directory.parts[-3].rpartition("_")
    errors = columns(directory / "records.csv")["error"]
    commit, device, date, fingerprint = (
        str(came.get(key, "unknown")) for key in ("commit", "device", "date", "fingerprint")
    )
    whole = errors[: len(errors) // BLOCK * BLOCK].reshape(-1, BLOCK)
    with np.errstate(over="ignore", invalid="ignore"):
        means = whole.mean(axis=1)
    return Course(
        config["images"], config["error"], config["batch_size"], optimizer, rate,
        config["optimizer"]["lr"], directory.parts[-2], config["seed"],
        directory.name.partition("-")[2], config["iterations"], len(errors),
        state["clipped_share"], state["test_squared_error"],
        commit, device, date, fingerprint,
        tuple(float(f"{mean:.4g}") for mean in means),
    )  # fmt: skip


def write(courses: Iterable[Course], path: Path) -> None:
    """Keep what figures need of some runs: a table with a row for each."""
    text = io.StringIO()
    names = [field.name for field in fields(Course)]
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    for course in courses:
        row = asdict(course)
        table.writerow({**row, "means": " ".join(f"{mean:.4g}" for mean in row["means"])})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())


def read(path: Path) -> list[Course]:
    """The runs of such a table; InputError where a row isn't whole."""
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Course)}
    found = []
    for number, row in enumerate(records.read(path), start=2):
        try:
            values: dict[str, Any] = {
                name: tuple(map(float, row[name].split())) if name == "means" else kind(row[name])
                for name, kind in kinds.items()
            }
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        found.append(Course(**values))
    return found
