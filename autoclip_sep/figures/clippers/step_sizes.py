"""Step sizes without and with AutoClip, spikes and all: a row for every loss.

Every recorded step is drawn. A spike is a step that is larger than `SPIKE` running medians of the
steps around it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer, style
from autoclip_sep.figures.run_pairs import NONE_FOUND, pairs
from autoclip_sep.figures.runs import RunFound, grouped, second_half
from autoclip_sep.figures.smoothing import running_median

SPIKE = 1.25  # running medians
WINDOW = 25  # recorded steps
MEDIAN, GREY = "black", "#666666"
HEADROOM = 1.2  # above the largest step, for the numbers
DOT: dict[str, Any] = {
    "linestyle": "none", "marker": "o", "markersize": 3.4, "markeredgecolor": "black",
    "markeredgewidth": 0.5,
}  # fmt: skip


def sizes(run: RunFound) -> DataFrame:
    """Every recorded step: step, size, median (running over WINDOW rows), and whether a spike.

    Raises InputError where the run has no records.
    """
    size = run.dynamics["step_norm"]
    median = running_median(size, WINDOW)
    spike = size > SPIKE * median
    return DataFrame({"step": run.dynamics["step"], "size": size, "median": median, "spike": spike})


def draw(
    rows: Sequence[Sequence[RunFound]], names: Sequence[str], title: str, text: str, stem: Path
) -> list[int]:
    """Draw rows of runs, all of as many, each row with a name and axes of its own scale.

    text: the footer. Returns how many spikes each column has.
    """
    columns = len(rows[0])
    figure = Figure(figsize=(9.2, 1.3 + 1.9 * len(rows)), layout="constrained")
    grid = [[f"{n} {m}" for m in range(columns)] for n in range(len(rows))]
    places: Any = [["names"] * columns, *grid]
    axes_of = figure.subplot_mosaic(places, height_ratios=[0.14, *[1] * len(rows)])
    spikes = np.zeros(columns, dtype=int)
    for places_of_row, row, name in zip(grid, rows, names, strict=True):
        line = [axes_of[place] for place in places_of_row]
        steps = [sizes(run) for run in row]
        spikes += [one["spike"].sum() for one in steps]
        end = max(one["step"].iloc[-1] for one in steps)
        most = max(one["size"].max() for one in steps)
        for axes, run, one, colour in zip(line, row, steps, style.colours(columns), strict=True):
            _marks(axes, run, one, colour)
            axes.set(xlim=(0, 1.01 * end), ylim=(0, HEADROOM * most))
        line[0].set_title(name, loc="left", fontsize=10.5)
        line[0].set_ylabel(style.STEP_SIZE)
    for place in grid[-1]:
        axes_of[place].set_xlabel("Iteration")
    _name_marks(axes_of["names"])
    style.finish(figure, title, [text], stem, 12.5)
    return spikes.tolist()


def _marks(axes: Axes, run: RunFound, steps: DataFrame, colour: str) -> None:
    width = float(np.clip(20 / np.sqrt(len(steps)), 0.4, 1.4))
    axes.vlines(steps["step"], steps["median"], steps["size"], color=colour, linewidth=width,
                alpha=0.75)  # fmt: skip
    axes.plot(steps["step"], steps["median"], color=MEDIAN, linewidth=1.1)
    spikes = steps[steps["spike"]]
    axes.plot(spikes["step"], spikes["size"], color=colour, **DOT)
    axes.set_title(run.clipping, loc="right", color=colour, fontsize=10.5)
    late = second_half(run.dynamics["step"], run.dynamics["step_norm"])
    peak = late.max() / np.median(late)
    numbers = (
        f"{style.spikes(len(spikes))} of {len(steps):,}  ·  "
        f"2nd half: std/mean {run.step_variation:.2f}, max/median {peak:.2f}"
    )
    axes.text(0.99, 0.98, numbers, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    style.over_iterations(axes)


def _name_marks(axes: Axes) -> None:
    """A legend above all rows, where it hides no spike."""
    upright = Line2D([], [], linestyle="none", marker="|", markersize=9, color=GREY,
                     label="recorded step, from the median to its size")  # fmt: skip
    median = Line2D([], [], color=MEDIAN, linewidth=1.1, label=f"running median of {WINDOW}")
    spike = Line2D([], [], color=GREY, label=f"spike: more than {SPIKE:g} running medians", **DOT)
    style.legend_alone(axes, [upright, median, spike])


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """A figure for every corpus and model, with a row for each loss. Returns a line for each.

    Settings that differ from the defaults don't part runs here: each has a row of its own.
    """
    lines, readable = list[str](), list[DataFrame]()
    for pair in pairs(runs):
        try:
            for run in pair["run"]:
                sizes(run)
        except InputError as error:
            lines.append(f"not drawn: {error}")
        else:
            readable.append(pair)
    title = "Step sizes without and with AutoClip"
    readable.sort(key=_place)
    together = pd.concat(readable) if readable else runs[:0]
    for names, members in grouped(together, ["corpus", "model"]).items():
        rows = members["run"].to_numpy().reshape(-1, 2).tolist()
        stem = output / "_".join(["step_sizes", *names])
        spikes, others = draw(rows, row_names(members[::2]), title, footer.line(members), stem)
        text = f"{style.spikes(spikes)} without clipping, {others:,} with AutoClip"
        lines.append(f"{stem}.png  {text}")
    return lines or [f"not drawn: step sizes, {NONE_FOUND}"]


def _place(pair: DataFrame) -> int:
    """The paper's losses first, in its order."""
    known, loss = list(style.LOSSES), pair["loss"].iloc[0]
    return known.index(loss) if loss in known else len(known)


def draw_records(files: Sequence[RunFound], text: str, output: Path) -> str:
    """The same of any loop's records, below each other, as <output>/step_sizes; a line of it."""
    rows = [[file] for file in files]
    draw(rows, [""] * len(rows), "Step sizes", text, output / "step_sizes")
    return f"{output / 'step_sizes'}.png"


def row_names(runs: DataFrame) -> list[str]:
    """Of each run the loss; its settings, too, where there are several of that loss."""
    several = runs["loss"].duplicated(keep=False)
    changed = runs["changed"].replace("", "defaults")
    return [
        f"{style.loss_name(loss)} ({digits})" if many else style.loss_name(loss)
        for loss, digits, many in zip(runs["loss"], changed, several, strict=True)
    ]
