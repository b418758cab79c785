"""How closely smoothness follows the gradient norm, and how much of it is the common trend.

The paper's Figure 1 gives one r a run, over all of training. Two series that both rise or fall with
training correlate for that alone, so r is also taken over each half, and inside short stretches
where neither has moved far.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures.comparable import OverSeeds, Seeds, comparable, over_seeds, with_spread
from autoclip_sep.figures.run_dynamics import FEWEST_ROWS, Panel, panel
from autoclip_sep.figures.runs import RunFound, Series
from autoclip_sep.files import write_whole

STRETCH = 1000  # iterations
FEWEST_IN_A_STRETCH = 10  # recorded steps; of fewer an r says nothing


@dataclass(frozen=True)
class Line:
    """Pearson's r of log smoothness and log gradient norm, of runs that differ in their seed only.

    whole, first_half, second_half: of those steps of training. inside: the mean of r over stretches
    of `STRETCH` iterations. probe_points: between two weights, at which smoothness was looked for.
    """

    corpus: str
    model: str
    loss: str
    clipping: str
    probe_points: int
    whole: OverSeeds
    first_half: OverSeeds
    second_half: OverSeeds
    inside: OverSeeds


def lines(found: Sequence[RunFound]) -> list[Line]:
    """A line for every corpus, model, loss and clipping, in this order; p = 100 is no clipping."""
    groups: dict[tuple[str, str, str, str], Seeds] = defaultdict(dict)
    for run in found:
        corpus, loss, model = run.group
        groups[corpus, model, loss, run.clipping].setdefault(int(run.config["seed"]), run)
    return [
        Line(
            *key,
            int(next(iter(seeds.values())).config["trainer"]["probe_points"]),
            *(over_seeds(seeds, of) for of in (whole, first_half, second_half, inside)),
        )
        for key, seeds in sorted(groups.items())
    ]


def whole(run: RunFound) -> float:
    """r over all of training; NaN where nothing was probed."""
    one = _probed(run)
    return one.r if one else math.nan


def first_half(run: RunFound) -> float:
    """r over the first half of the iterations."""
    one = _probed(run)
    return _r(one, one.probed <= one.step[-1] / 2) if one else math.nan


def second_half(run: RunFound) -> float:
    """r over the second half of the iterations."""
    one = _probed(run)
    return _r(one, one.probed > one.step[-1] / 2) if one else math.nan


def inside(run: RunFound) -> float:
    """The mean r of the stretches that hold enough recorded steps."""
    one = _probed(run)
    if one is None:
        return math.nan
    stretch = (one.probed - 1) // STRETCH
    parts = [stretch == n for n in np.unique(stretch)]
    found = [_r(one, part) for part in parts if part.sum() >= FEWEST_IN_A_STRETCH]
    return fmean(found) if found else math.nan


def _probed(run: RunFound) -> Panel | None:
    try:
        return panel(run)
    except InputError:
        return None


def _r(one: Panel, rows: Series) -> float:
    if rows.sum() < FEWEST_ROWS:
        return math.nan
    return float(np.corrcoef(one.norm[rows], one.smoothness[rows])[0, 1])


def as_markdown(found: Sequence[Line]) -> str:
    """The table for a README."""
    text = [
        "| corpus | model | loss | clipping | probe points | seeds | r | r, 1st half "
        f"| r, 2nd half | r inside {STRETCH:,} iterations |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for line in found:
        values = " | ".join(with_spread(value) for value in _values(line))
        text.append(
            f"| {line.corpus} | {line.model} | {line.loss} | {line.clipping} | {line.probe_points} "
            f"| {len(line.whole.values)} | {values} |"
        )
    return "\n".join(text) + "\n"


def as_csv(found: Sequence[Line]) -> str:
    """The same numbers unrounded, mean and standard deviation over seeds."""
    names = ("r", "r_first_half", "r_second_half", "r_inside")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["corpus", "model", "loss", "clipping", "probe_points", "seeds",
                     *(f"{name}_{what}" for name in names for what in ("mean", "sd"))])  # fmt: skip
    for line in found:
        numbers = [number for value in _values(line) for number in (value.mean, value.spread)]
        writer.writerow([line.corpus, line.model, line.loss, line.clipping, line.probe_points,
                         len(line.whole.values), *numbers])  # fmt: skip
    return out.getvalue()


def _values(line: Line) -> tuple[OverSeeds, ...]:
    return line.whole, line.first_half, line.second_half, line.inside


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """Write correlations.md and correlations.csv; returns what was written."""
    kept, left_out = comparable(found)
    table = [line for line in lines(kept) if line.whole.values]
    if not table:
        return [*left_out, "not drawn: no run has a smoothness: correlations"]
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "correlations.md", as_markdown(table).encode())
    write_whole(output / "correlations.csv", as_csv(table).encode())
    return [f"{output / 'correlations.md'}  {len(table)} lines"]
