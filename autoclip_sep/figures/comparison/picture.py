"""A run over the range of its references, one panel for each quantity."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from autoclip_sep.figures import style
from autoclip_sep.figures.comparison.curves import Curve

REFERENCE = "#6B7280"


def draw(curves: Sequence[Curve], title: str, footer: str, stem: Path) -> None:
    """Draw every curve over its range to <stem>.png and <stem>.pdf."""
    rows = math.ceil(len(curves) / 2)
    figure = Figure(figsize=(9.2, 0.9 + 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes, curve in zip(panels, curves, strict=False):
        _panel(axes, curve)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    panels[0].plot([], [], color=style.WITHOUT, linestyle=":", label="leaves")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4,
                  frameon=False, fontsize=8, title=title,
                  title_fontproperties={"size": 12, "weight": "bold"})  # fmt: skip
    style.footer(figure, footer)
    style.save(figure, stem)


def _panel(axes: Axes, curve: Curve) -> None:
    table, steps = curve.table, curve.table.index
    axes.fill_between(steps, table["low"], table["high"], color=REFERENCE, alpha=0.2, linewidth=0,
                      label="range of the references")  # fmt: skip
    axes.plot(steps, table["reference"], color=REFERENCE, linewidth=1.4, label="reference")
    axes.plot(steps, table["recorded"], color=style.WITH, linestyle="none", marker=".",
              markersize=1.5, alpha=0.35, rasterized=True)  # fmt: skip
    axes.plot(steps, table["run"], color=style.WITH, linewidth=1.4, label="run")
    if math.isfinite(curve.left):
        axes.axvline(curve.left, color=style.WITHOUT, linestyle=":", linewidth=1.6)
    if curve.quantity.log:
        axes.set_yscale("log")
    axes.set_title(curve.quantity.name, fontsize=9.5)
    axes.set_xlabel("Iteration", fontsize=8)
    axes.set_ylabel(curve.quantity.unit.strip())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(which="both", labelsize=8)
    style.bare(axes)
