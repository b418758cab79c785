"""Runs that may be laid side by side, and their numbers over seeds."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound

Task = tuple[str, str]  # corpus, and model with the settings that differ from the defaults
Seeds = dict[int, RunFound]


@dataclass(frozen=True)
class OverSeeds:
    """A number that every seed has its own value of."""

    values: dict[int, float]

    @property
    def mean(self) -> float:
        """NaN without values."""
        return fmean(self.values.values()) if self.values else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation over seeds (n - 1 below), NaN for fewer than two."""
        return stdev(self.values.values()) if len(self.values) > 1 else math.nan

    def minus(self, other: "OverSeeds") -> "OverSeeds":
        """The difference seed by seed, of the seeds that both have."""
        both = self.values.keys() & other.values.keys()
        return OverSeeds({seed: self.values[seed] - other.values[seed] for seed in sorted(both)})


def over_seeds(members: Seeds, value: Callable[[RunFound], float]) -> OverSeeds:
    """A number of each run. Those that aren't finite are left out."""
    values = {seed: float(value(run)) for seed, run in sorted(members.items())}
    return OverSeeds({seed: one for seed, one in values.items() if math.isfinite(one)})


def with_spread(value: OverSeeds, sign: str = "") -> str:
    """Mean ± standard deviation; without the latter for one seed, empty without any."""
    if not value.values:
        return ""
    spread = f" ± {value.spread:.2f}" if math.isfinite(value.spread) else ""
    return f"{value.mean:{sign}.2f}".replace("-", "−") + spread


def comparable(found: Sequence[RunFound]) -> tuple[list[RunFound], list[str]]:
    """The finished runs, and a line for each run that is left out.

    A directory's name doesn't tell how long its run was: of one corpus, loss and model only the
    runs of the commonest number of epochs are kept, of the larger one where two are as common.
    """
    epochs, left_out = dict[RunFound, int](), list[str]()
    for run in found:
        wanted, done = int(run.config["trainer"]["epochs"]), epochs_done(run)
        if done >= wanted:
            epochs[run] = done
        else:
            left_out.append(f"left out: {run.directory}: {done} of {wanted} epochs")
    usual: dict[tuple[str, ...], int] = {}
    for group in {run.group for run in epochs}:
        counts = Counter(done for run, done in epochs.items() if run.group == group)
        usual[group] = max(counts, key=lambda done: (counts[done], done))
    for run, done in epochs.items():
        if done != usual[run.group]:
            left_out.append(f"left out: {run.directory}: {done} epochs, others {usual[run.group]}")
    return [run for run, done in epochs.items() if done == usual[run.group]], left_out


def epochs_done(run: RunFound) -> int:
    """How many epochs a run has records of."""
    try:
        return int(run.history["epoch"][-1])
    except InputError:
        return 0


def by_task(found: Iterable[RunFound]) -> dict[Task, list[RunFound]]:
    """The runs of each corpus and model, whatever their loss and clipping."""
    tasks: dict[Task, list[RunFound]] = defaultdict(list)
    for run in found:
        corpus, _, model = run.group
        tasks[corpus, model].append(run)
    return dict(sorted(tasks.items()))


def by_loss(found: Iterable[RunFound]) -> dict[str, list[RunFound]]:
    """The runs of each loss."""
    losses: dict[str, list[RunFound]] = defaultdict(list)
    for run in found:
        losses[run.group[1]].append(run)
    return dict(losses)


def by_group(found: Sequence[RunFound]) -> dict[tuple[str, str, str], list[RunFound]]:
    """The runs of each corpus, loss and model, whatever their clipping."""
    groups = sorted({run.group for run in found})
    return {group: [run for run in found if run.group == group] for group in groups}


def by_percentile(found: Iterable[RunFound]) -> dict[float, Seeds]:
    """The runs of the paper's AutoClip by p, rising, and seed; no clipping is p = 100.

    Of runs that are the same to the paper (no clipping, and p = 100) each seed counts once.
    """
    cells: dict[float, Seeds] = defaultdict(dict)
    for run in found:
        if math.isfinite(run.percentile):
            cells[run.percentile].setdefault(int(run.config["seed"]), run)
    return dict(sorted(cells.items()))


def over_percentiles(
    found: Iterable[RunFound], value: Callable[[RunFound], float]
) -> dict[float, OverSeeds]:
    """A number of each run, by p and seed."""
    return {p: over_seeds(seeds, value) for p, seeds in by_percentile(found).items()}
