"""Learning curves of ALRC's supersampling experiment, without and with ALRC.

Ede, Beanland (2020): boxcar averages over 500 iterations. A grid for each error: a row for each
batch size, a column for each optimizer and learning rate, a line for each seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from autoclip_sep.errors import InputError
from autoclip_sep.figures import drawing
from autoclip_sep.figures.stability_table import OPTIMIZERS, WITH, WITHOUT, lines, markdown
from autoclip_sep.figures.supersampling import BOXCAR, Course, find
from autoclip_sep.files import write_whole

COLOURS = {WITHOUT: drawing.WITHOUT, WITH: drawing.WITH}
LABELS = {WITHOUT: "no clipping", WITH: "ALRC"}
WIDTHS = {WITHOUT: 2.4, WITH: 1.0}  # both are seen where they coincide
ALPHAS = {WITHOUT: 0.55, WITH: 1.0}
RATES = ("stable", "high")
HIGH = "#FBF6EE"  # behind the panels of a high rate
BELOW = 1.6  # of a cross that marks divergence, from the top: above it is a title
TALLEST = 300.0  # a panel's top / its lowest point: beyond, lines leave it
SOURCES = {
    "photographs": "crops of photographs, a stand-in for CIFAR-10",
    "cifar10": "CIFAR-10",
}


@dataclass(frozen=True)
class Panel:
    """One setting: the numbers drawn. The courses are those without and with ALRC."""

    batch_size: int
    optimizer: str
    rate: str
    courses: tuple[Course, ...]


def panels(courses: Sequence[Course]) -> list[list[Panel]]:
    """The grid, by batch size, then by optimizer and rate; of runs of one error."""
    sizes = sorted({one.batch_size for one in courses})
    columns = sorted({(one.optimizer, RATES.index(one.rate)) for one in courses})
    return [
        [
            Panel(size, optimizer, RATES[rate], tuple(
                one for one in courses
                if (one.batch_size, one.optimizer, one.rate) == (size, optimizer, RATES[rate])
            ))
            for optimizer, rate in columns
        ]
        for size in sizes
    ]  # fmt: skip


def draw(courses: Sequence[Course], stem: Path) -> list[list[Panel]]:
    """Draw runs of one error and one collection of images to <stem>.png and <stem>.pdf.

    Gives what was drawn. Raises InputError where nothing is there to be drawn.
    """
    grid = panels([one for one in courses if one.rate in RATES and one.clipping in COLOURS])
    if not grid:
        raise InputError("no runs at the rates stable and high, without clipping or with ALRC")
    lowest = min(_least(panel) for row in grid for panel in row)
    if math.isinf(lowest):
        raise InputError(f"no run is as long as the boxcar, {BOXCAR} iterations")
    rows, columns = len(grid), len(grid[0])
    figure = Figure(figsize=(1.5 + 1.95 * columns, 1.6 + 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for (row, column), ax in np.ndenumerate(axes):
        _draw_panel(ax, grid[row][column], lowest)
        if grid[row][column].rate == "high":
            ax.set_facecolor(HIGH)
        if row == 0:
            ax.set_title(_title([line[column] for line in grid]), fontsize=9.5)
        if row == rows - 1:
            ax.set_xlabel("iteration", fontsize=8.5)
        if column == 0:
            ax.set_ylabel(f"batch {grid[row][0].batch_size}", fontsize=10)
    error = courses[0].error
    figure.supylabel(f"{error} error, mean of {BOXCAR} iterations", fontsize=10)
    figure.suptitle(
        f"Learning curves of 2× supersampling, {error} errors", fontsize=13, weight="bold"
    )
    _legend(axes[0, 0])
    drawing.footer(figure, _footer(courses))
    drawing.save(figure, stem)
    return grid


def draw_all(root: Path, output: Path) -> list[str]:
    """Draw whatever the runs below a folder allow; a line for every picture or table.

    Raises InputError where there are no runs.
    """
    found = find(root)
    said = []
    for images, changed in sorted({(one.images, one.changed) for one in found}):
        chosen = [one for one in found if (one.images, one.changed) == (images, changed)]
        name = f"supersampling_{images}{'-' * bool(changed)}{changed}"
        for error in sorted({one.error for one in chosen}):
            stem = output / f"{name}_{error}"
            try:
                grid = draw([one for one in chosen if one.error == error], stem)
            except InputError as reason:
                said.append(f"{stem} not drawn: {reason}")
                continue
            drawn = sum(len(panel.courses) for row in grid for panel in row)
            said.append(f"{stem}.png, .pdf  {drawn} runs")
        if table := lines(chosen):
            path = output / f"{name}.md"
            write_whole(path, markdown(table).encode())
            said.append(f"{path}  {len(table)} settings")
    return said


def _draw_panel(ax: Axes, panel: Panel, lowest: float) -> None:
    top = TALLEST * lowest
    for one in sorted(panel.courses, key=lambda one: one.clipping == WITH):
        curve = np.minimum(one.curve, 1e30)  # what isn't finite leaves the panel, too
        ax.plot(one.iteration, curve, color=COLOURS[one.clipping], alpha=ALPHAS[one.clipping],
                linewidth=WIDTHS[one.clipping], solid_joinstyle="round")  # fmt: skip
        if one.diverged:
            ax.plot(one.iterations, top / BELOW, marker="x", color=COLOURS[one.clipping],
                    markersize=7, markeredgewidth=1.8, zorder=5)  # fmt: skip
    _note_peaks(ax, panel, top)
    ax.set(yscale="log", ylim=(lowest / 1.3, top))
    ax.yaxis.set_major_locator(LogLocator(numticks=4))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.tick_params(labelsize=8)
    drawing.bare(ax)


def _note_peaks(ax: Axes, panel: Panel, top: float) -> None:
    """How high the lines go that leave the panel."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    places = iter((0.97, 0.86))
    for clipping, colour in COLOURS.items():
        curves = [one.curve for one in panel.courses if one.clipping == clipping]
        highest = max((curve.max(initial=0.0) for curve in curves), default=0.0)
        if highest > top:
            power = r"\infty" if math.isinf(highest) else f"10^{{{math.log10(highest):.0f}}}"
            ax.text(0.97, next(places), f"up to ${power}$", transform=ax.transAxes, bbox=box,
                    color=colour, fontsize=8, ha="right", va="top", zorder=6)  # fmt: skip


def _least(panel: Panel) -> float:
    points = [one.curve.min(initial=math.inf) for one in panel.courses]
    return float(min(points, default=math.inf))


def _title(column: Sequence[Panel]) -> str:
    rates = sorted({one.lr for panel in column for one in panel.courses})
    name = OPTIMIZERS.get(column[0].optimizer, column[0].optimizer)
    return f"{name}\n{column[0].rate} rate, {', '.join(f'{rate:g}' for rate in rates)}"


def _legend(ax: Axes) -> None:
    """In the first panel, the stable one: its upper part is empty."""
    handles = [
        Line2D([], [], color=COLOURS[key], alpha=ALPHAS[key], linewidth=WIDTHS[key],
               label=LABELS[key])
        for key in COLOURS
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#444444", marker="x", linestyle="", label="diverged"))
    ax.legend(handles=handles, loc="upper right", frameon=False, fontsize=8.5)


def _footer(courses: Sequence[Course]) -> str:
    one = courses[0]
    seeds = sorted({one.seed for one in courses})
    return drawing.BETWEEN.join([
        f"images {one.images} ({SOURCES.get(one.images, one.images)}, {one.fingerprint[:8]})",
        f"{one.wanted:,} iterations", f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        *(", ".join(sorted({str(getattr(one, key)) for one in courses}))
          for key in ("commit", "device", "date")),
    ])  # fmt: skip
