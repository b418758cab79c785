"""What a row of the suite is, and how it is checked and timed.

A row is a job that several sides do. Each does it once, and their outcomes are compared; only then
are they timed: in a round every side is called once, in an order drawn anew, so that the machine's
other users disturb all alike. What counts is a side's ratio to the first one in the same round.
torch.utils.benchmark times one statement in a block of its own, after calls that aren't counted,
which a step of ten seconds can't afford.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pandas import DataFrame, Series
from torch.utils._pytree import tree_leaves

from autoclip_sep.errors import InputError
from autoclip_sep.optional import import_museval, import_nussl, require
from benchmarks.floor import Floor, Rates

LEAST, MOST = 3, 50  # rounds
LONGEST = 1000  # letters of a failure
LONG = 1.0  # seconds: a row whose first calls take longer is warm after less, so that they count
Work = Callable[[], Any]
IMPORTS: dict[str, Work] = {"museval": import_museval, "nussl": import_nussl}


@dataclass(frozen=True)
class Settings:
    """What all rows are made for.

    quick: everything tiny, only to see it run. folder: for files, deleted at the end. seconds: of
    each side of a row, unless three calls take longer.
    """

    device: torch.device
    threads: int
    quick: bool
    folder: Path
    seconds: float = 1.0

    def of(self, usual: Any, tiny: Any) -> Any:
        """A size: the usual one, or the tiny one of a quick run."""
        return tiny if self.quick else usual


@dataclass(frozen=True)
class Timed:
    """What a work returns that times itself, such as a training run without its start."""

    seconds: float
    outcome: Any


@dataclass
class Row:
    """One job and who does it.

    sides: by name; the first is the unit of the ratios. None: a package that isn't installed.
    parts: names of sides that do only a part of the job, or another one to compare with, whose
    outcome isn't checked. before: called before each call, untimed. outcome: what is compared,
    from what a call returned. tolerance: between outcomes, relative to their norm.
    axis, case: a variable and its value here; rows of one job then share a table and a curve.
    items, of: how many of what one call does, to tell its rate. least: rounds.
    """

    job: str
    sides: dict[str, Work | None]
    parts: frozenset[str] = frozenset()
    before: Work = field(default=lambda: None)
    outcome: Callable[[Any], Any] = field(default=lambda found: found)
    tolerance: float = 1e-4
    floor: Floor | None = None
    axis: str = ""
    case: int = 0
    items: int = 0
    of: str = ""
    threads: int | None = None
    least: int = LEAST


Maker = Callable[[Settings], Iterator[Row]]
SUBJECTS: dict[str, dict[str, Maker]] = {}


def rows(*devices: str) -> Callable[[Maker], Maker]:
    """Registers a function that makes rows, under its module's name, for these kinds of device."""

    def register(make: Maker) -> Maker:
        subject = make.__module__.rpartition(".")[2]

        def here(at: Settings) -> Iterator[Row]:
            return make(at) if not devices or at.device.type in devices else iter(())

        SUBJECTS.setdefault(subject, {})[make.__name__] = here
        return make

    return register


def installed(package: str, make: Callable[[Any], Work]) -> Work | None:
    """The side that a package gives; None where the package isn't installed."""
    try:
        module = IMPORTS.get(package, partial(require, package, "the comparison"))()
    except InputError:
        return None
    return make(module)


class Disagreement(Exception):
    """Two sides of a row don't compute the same."""


def measure(row: Row, at: Settings, rates: Rates) -> list[dict[str, Any]]:
    """A record for each side of a row, the packages that are missing and the floor among them.

    Raises Disagreement before anything is timed.
    """
    threads = row.threads or at.threads
    shared: dict[str, Any] = {
        "job": row.job, "axis": row.axis, "case": row.case, "items": row.items, "of": row.of,
        "threads": threads,
    }  # fmt: skip
    torch.set_num_threads(threads)
    try:
        times = _times(row, at)
    finally:
        torch.set_num_threads(at.threads)
    unit = times[next(iter(times))]
    records = []
    for name, work in row.sides.items():
        if work is None:
            records.append({**shared, "by": name, "calls": 0})
            continue
        ratios = Series(times[name]) / Series(unit)  # of the same rounds
        records.append({
            **shared, "by": name, "calls": len(times[name]),
            **_quartiles("seconds", Series(times[name])), **_quartiles("ratio", ratios),
        })  # fmt: skip
    if row.floor is not None:
        least = rates.seconds(row.floor, threads)
        ratio = least / Series(unit).median()
        records.append({**shared, "by": "floor", "calls": 0, "seconds": least, "ratio": ratio})
    return records


def _times(row: Row, at: Settings) -> dict[str, list[float]]:
    """Seconds of every call by side: the first of them is in every round, others may leave."""
    works = {name: work for name, work in row.sides.items() if work is not None}
    gc.collect()
    first = _compare(row, works, at)
    long = max(first.values()) > LONG
    times = {name: [seconds] if long else [] for name, seconds in first.items()}
    unit = next(iter(works))
    while len(times[unit]) < row.least or (
        len(times[unit]) < MOST and any(sum(own) < at.seconds for own in times.values())
    ):
        turn = len(times[unit])
        for name in random.Random(turn).sample(list(works), len(works)):
            own = times[name]
            if name == unit or len(own) < row.least or sum(own) < at.seconds:
                row.before()
                own.append(_call(works[name], at.device)[0])
    return times


def _compare(row: Row, works: dict[str, Work], at: Settings) -> dict[str, float]:
    """Seconds of each side's first call. Raises Disagreement where the outcomes differ."""
    seconds, expected, of = {}, None, ""
    for name, work in works.items():
        row.before()
        seconds[name], found = _call(work, at.device)
        if name in row.parts:
            continue
        outcome = _leaves(row.outcome(found))
        if expected is None:
            expected, of = outcome, name
        elif (apart := _apart(outcome, expected)) > row.tolerance:
            raise Disagreement(f"{name} and {of} differ by {apart:.2g}")
    return seconds


def _call(work: Work, device: torch.device) -> tuple[float, Any]:
    """Wall time of one call, until the device is done, and what it gave."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    found = work()
    wait()
    seconds = time.perf_counter() - start
    return (found.seconds, found.outcome) if isinstance(found, Timed) else (seconds, found)


def _leaves(outcome: Any) -> list[torch.Tensor]:
    """Tensors, arrays and numbers in nested containers, as tensors of their own on the CPU."""
    return [torch.as_tensor(leaf).detach().cpu().clone() for leaf in tree_leaves(outcome)]


def _apart(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """The largest distance of a pair, relative to the second one's norm."""
    if [one.shape for one in found] != [one.shape for one in expected]:
        return float("inf")
    pairs = [(one.double(), other.double()) for one, other in zip(found, expected, strict=True)]
    apart = [float((a - b).norm() / b.norm().clamp_min(1e-30)) for a, b in pairs]
    return float("inf") if any(one != one for one in apart) else max(apart, default=0.0)


def _quartiles(name: str, values: Series) -> dict[str, float]:
    low, median, high = values.quantile([0.25, 0.5, 0.75])
    return {name: median, f"{name}_low": low, f"{name}_high": high}


def run(
    at: Settings, subjects: list[str], wanted: list[str], begun: Callable[[str], object]
) -> tuple[DataFrame, Rates, list[str]]:
    """The records of all rows wanted, the device's rates, and a line for each row that failed.

    subjects: in their order. wanted: subjects, or a subject and a function, as in losses.si_sdr.
    begun: is told each row. A row that fails, whoever's fault it is, costs no other one.
    """
    rates = Rates(at.device, at.quick)
    records: list[dict[str, Any]] = []
    failures = []
    for subject in subjects:
        for name, make in SUBJECTS[subject].items():
            if not {subject, f"{subject}.{name}"} & set(wanted):
                continue
            rows = make(at)
            while True:
                job = name
                try:
                    row = next(rows, None)
                    if row is None:
                        break
                    job = f"{row.job} {row.axis} {row.case or ''}".rstrip()
                    begun(f"{subject}: {job}")
                    records += [{"subject": subject, **one} for one in measure(row, at, rates)]
                except Exception as error:  # a generator that raised is at its end
                    kind = "" if isinstance(error, Disagreement) else f"{type(error).__name__}: "
                    failures.append(f"{subject}: {job}: {kind}{error}"[:LONGEST])
    columns = ["subject", "job", "axis", "case", "by", "seconds", "ratio"]
    return DataFrame(records, columns=None if records else columns), rates, failures
