"""Step sizes without and with AutoClip, spikes and all: a row for every loss.

Every recorded step is drawn. A spike is a step that is larger than `SPIKE` running medians of the
steps around it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.run_pairs import NONE_FOUND, Group, Pair, pairs
from autoclip_sep.figures.runs import RunFound, Series
from autoclip_sep.figures.smoothing import running_median

SPIKE = 1.25  # running medians
WINDOW = 25  # recorded steps
MEDIAN, GREY = "black", "#666666"
HEADROOM = 1.2  # above the largest step, for the numbers
DOT: dict[str, Any] = {
    "linestyle": "none", "marker": "o", "markersize": 3.4, "markeredgecolor": "black",
    "markeredgewidth": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """The step sizes of one run.

    step, size, median: (rows,), the median running over WINDOW rows. spikes: (rows,) bool.
    variation: standard deviation / mean, and peak: maximum / median, both in the second half of
        training: in the first the step size shrinks, which is no instability.
    """

    label: str
    step: Series
    size: Series
    median: Series
    spikes: NDArray[np.bool_]
    variation: float
    peak: float


def sizes(run: RunFound) -> Sizes:
    """The numbers of a run.

    Raises InputError where it has no records.
    """
    step, size = run.dynamics["step"], run.dynamics["step_norm"]
    median = running_median(size, WINDOW)
    second = size[step > step[-1] / 2]
    return Sizes(
        run.clipping, step, size, median, size > SPIKE * median,
        float(second.std() / second.mean()), float(second.max() / np.median(second)),
    )  # fmt: skip


def draw(named: Sequence[tuple[str, Pair]], stem: Path) -> list[tuple[Sizes, Sizes]]:
    """Draw to <stem>.png and <stem>.pdf and return what was drawn, row by row.

    named: for each row its name, the run with p = 100 or no clipping, and the one with p = 10.
    """
    rows = [(sizes(without), sizes(with_autoclip)) for _, (without, with_autoclip) in named]
    footer = origin([run for _, pair in named for run in pair]).line()
    title = "Step sizes without and with AutoClip"
    draw_rows(rows, [name for name, _ in named], title, footer, stem)
    return rows


def draw_rows(
    rows: Sequence[Sequence[Sizes]], names: Sequence[str], title: str, footer: str, stem: Path
) -> None:
    """Draw rows of runs, all of as many, each row with a name and axes of its own scale."""
    figure = Figure(figsize=(9.2, 1.3 + 1.9 * len(rows)), layout="constrained")
    columns = len(rows[0])
    colours = style.colours(columns)
    grid = [[f"{n} {m}" for m in range(columns)] for n in range(len(rows))]
    places: Any = [["names"] * columns, *grid]
    axes_of = figure.subplot_mosaic(places, height_ratios=[0.14, *[1] * len(rows)])
    for places_of_row, row, name in zip(grid, rows, names, strict=True):
        line = [axes_of[place] for place in places_of_row]
        end = max(one.step[-1] for one in row)
        most = max(float(np.nanmax(one.size)) for one in row)
        for axes, one, colour in zip(line, row, colours, strict=True):
            _marks(axes, one, colour)
            axes.set(xlim=(0, 1.01 * end), ylim=(0, HEADROOM * most))
        line[0].set_title(name, loc="left", fontsize=10.5)
        line[0].set_ylabel(style.STEP_SIZE)
    for place in grid[-1]:
        axes_of[place].set_xlabel("Iteration")
    _name_marks(axes_of["names"])
    figure.suptitle(title, fontsize=12.5, weight="bold")
    style.footer(figure, footer)
    style.save(figure, stem)


def _marks(axes: Axes, one: Sizes, colour: str) -> None:
    width = float(np.clip(20 / np.sqrt(len(one.step)), 0.4, 1.4))
    axes.vlines(one.step, one.median, one.size, color=colour, linewidth=width, alpha=0.75)
    axes.plot(one.step, one.median, color=MEDIAN, linewidth=1.1)
    axes.plot(one.step[one.spikes], one.size[one.spikes], color=colour, **DOT)
    axes.set_title(one.label, loc="right", color=colour, fontsize=10.5)
    numbers = (
        f"{style.spikes(one.spikes.sum())} of {len(one.step):,}  ·  "
        f"2nd half: std/mean {one.variation:.2f}, max/median {one.peak:.2f}"
    )
    axes.text(0.99, 0.98, numbers, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    style.bare(axes)


def _name_marks(axes: Axes) -> None:
    """A legend above all rows, where it hides no spike."""
    upright = Line2D([], [], linestyle="none", marker="|", markersize=9, color=GREY,
                     label="recorded step, from the median to its size")  # fmt: skip
    median = Line2D([], [], color=MEDIAN, linewidth=1.1, label=f"running median of {WINDOW}")
    spike = Line2D([], [], color=GREY, label=f"spike: more than {SPIKE:g} running medians", **DOT)
    style.legend_alone(axes, [upright, median, spike])


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """A figure for every corpus and model, with a row for each loss. Returns a line for each.

    Settings that differ from the defaults don't part runs here: each has a row of its own.
    """
    lines = []
    figures: dict[tuple[str, str], dict[Group, Pair]] = defaultdict(dict)
    for (corpus, loss, model), pair in pairs(found).items():
        try:
            sizes(pair[0]), sizes(pair[1])
        except InputError as error:
            lines.append(f"not drawn: {error}")
        else:
            figures[corpus, pair[0].model][corpus, loss, model] = pair
    for names, rows in figures.items():
        stem = output / "_".join(["step_sizes", *names])
        drawn = draw(
            [(_name(group, rows), rows[group]) for group in sorted(rows, key=_order)], stem
        )
        without, with_autoclip = (sum(int(row[n].spikes.sum()) for row in drawn) for n in (0, 1))
        said = f"{style.spikes(without)} without clipping, {with_autoclip:,} with AutoClip"
        lines.append(f"{stem}.png  {said}")
    return lines or [f"not drawn: step sizes, {NONE_FOUND}"]


def _order(group: Group) -> tuple[int, Group]:
    """The paper's losses first, in its order."""
    known = list(style.LOSSES)
    return known.index(group[1]) if group[1] in known else len(known), group


def _name(group: Group, rows: Mapping[Group, Pair]) -> str:
    """The loss; its settings, too, where there are several rows of it."""
    name, changed = style.loss_name(group[1]), rows[group][0].changed or "defaults"
    return name if [loss for _, loss, _ in rows].count(group[1]) == 1 else f"{name} ({changed})"


def draw_records(runs: Sequence[RunFound], footer: str, output: Path) -> str:
    """The same of any loop's records, below each other, as <output>/step_sizes; a line of it."""
    rows = [[sizes(run)] for run in runs]
    draw_rows(rows, [""] * len(rows), "Step sizes", footer, output / "step_sizes")
    return f"{output / 'step_sizes'}.png"
