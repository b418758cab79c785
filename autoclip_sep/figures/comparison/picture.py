"""A run over the band of its references, one panel for each recorded series."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from autoclip_sep.figures import drawing
from autoclip_sep.figures.comparison.curves import Course
from autoclip_sep.figures.runs_found import Series

COLUMNS = 2  # of panels
REFERENCE = "#6B7280"


def draw(courses: Sequence[Course], title: str, footer: str, stem: Path) -> None:
    """Draw every series over its band to <stem>.png and <stem>.pdf."""
    lines = math.ceil(len(courses) / COLUMNS)
    figure = Figure(figsize=(9.2, 0.9 + 1.9 * lines), layout="constrained")
    panels = figure.subplots(lines, COLUMNS, squeeze=False).flatten()
    for axes in panels[len(courses) :]:
        axes.set_visible(False)
    for axes, course in zip(panels, courses, strict=False):
        _panel(axes, course)
    panels[0].plot([], [], color=drawing.WITHOUT, linestyle=":", label="leaves")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False,
                  fontsize=8, title=title,
                  title_fontproperties={"size": 12, "weight": "bold"})  # fmt: skip
    drawing.footer(figure, footer)
    drawing.save(figure, stem)


def _panel(axes: Axes, course: Course) -> None:
    kind = course.kind

    def shown(values: Series) -> Series:
        return np.power(10.0, values) if kind.ratio else values

    low, high = course.centre - course.half_width, course.centre + course.half_width
    axes.fill_between(course.steps, shown(low), shown(high), color=REFERENCE, alpha=0.2,
                      linewidth=0, label="band of the reference")  # fmt: skip
    axes.plot(course.steps, shown(course.centre), color=REFERENCE, linewidth=1.4, label="reference")
    axes.plot(course.steps, shown(course.recorded), color=drawing.WITH, linestyle="none",
              marker=".", markersize=1.5, alpha=0.35, rasterized=True)  # fmt: skip
    axes.plot(course.steps, shown(course.run), color=drawing.WITH, linewidth=1.4, label="run")
    if course.left is not None:
        axes.axvline(course.steps[course.left], color=drawing.WITHOUT, linestyle=":", linewidth=1.6)
    if kind.ratio:
        axes.set_yscale("log")
    axes.set_ylabel(kind.unit.strip())
    axes.set_title(kind.name, fontsize=9.5)
    axes.set_xlabel("Iteration", fontsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(which="both", labelsize=8)
    drawing.bare(axes)
