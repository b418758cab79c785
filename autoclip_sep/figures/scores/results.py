"""SI-SDR of runs in a table, mean and spread over seeds."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.files import write_whole


@dataclass(frozen=True)
class Line:
    """One line: runs that differ in their seed only. Scores in dB."""

    corpus: str
    loss: str
    model: str
    clipping: str
    seeds: int
    si_sdr: float
    improvement: float
    spread: float  # standard deviation of the improvement over seeds, NaN for one seed
    step_variation: float  # of the step size, see the function; mean over seeds


def table(runs_found: Sequence[RunFound], split: str = "test") -> list[Line]:
    """A line for every group of evaluated runs, by corpus, loss, model, then clipping.

    Of runs that are the same to the paper (no clipping, and p = 100) each seed counts once.
    """
    groups: dict[tuple[str, ...], dict[int, RunFound]] = defaultdict(dict)
    for run in runs_found:
        if run.score(split):
            groups[*run.group, run.clipping].setdefault(run.config["seed"], run)
    return [_line(key, list(seeds.values()), split) for key, seeds in sorted(groups.items())]


def _line(key: tuple[str, ...], members: list[RunFound], split: str) -> Line:
    scores = [run.score(split) for run in members]
    gains = [score["si_sdr_improvement_mean"] for score in scores]
    corpus, loss, model, clipping = key
    return Line(
        corpus, loss, model, clipping, len(members),
        fmean(score["si_sdr_mean"] for score in scores), fmean(gains),
        stdev(gains) if len(gains) > 1 else math.nan, fmean(map(step_variation, members)),
    )  # fmt: skip


def step_variation(run: RunFound) -> float:
    """Standard deviation / mean of the step size in the second half of training, NaN without rows.

    The first half is left out: there the step size shrinks, which is no instability.
    """
    try:
        rows = run.dynamics
    except InputError:
        return math.nan
    sizes = rows["step_norm"][rows["step"] > rows["step"][-1] / 2]
    return float(sizes.std() / sizes.mean())


def as_markdown(lines: Sequence[Line]) -> str:
    """The table for a README."""
    text = [
        "| corpus | loss | model | clipping | seeds | SI-SDR [dB] | SI-SDR improvement [dB] "
        "| step size, std / mean, 2nd half |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        spread = f" ± {line.spread:.2f}" if math.isfinite(line.spread) else ""
        text.append(
            f"| {line.corpus} | {line.loss} | {line.model} | {line.clipping} | {line.seeds} "
            f"| {line.si_sdr:.2f} | {line.improvement:.2f}{spread} | {line.step_variation:.2f} |"
        )
    return "\n".join(text) + "\n"


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """Write results.md, the table of all evaluated runs; returns a line that says so."""
    lines = table(found)
    if not lines:
        return ["not drawn: no run is evaluated: the table of results"]
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "results.md", as_markdown(lines).encode())
    return [f"{output / 'results.md'}  {len(lines)} lines"]
