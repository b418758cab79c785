"""Learning curves of ALRC's supersampling experiment, without and with ALRC.

Ede, Beanland (2020): boxcar averages over 500 iterations. A grid for each error: a row for each
batch size, a column for each optimizer and learning rate, a line for each seed.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from runs import BLOCK, BOXCAR, WIDTH, WITH, WITHOUT
from table import OPTIMIZERS

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style

STYLES: dict[str, dict[str, Any]] = {  # drawn one over the other: both are seen where they coincide
    WITHOUT: {"color": style.WITHOUT, "linewidth": 2.4, "alpha": 0.55, "label": "no clipping"},
    WITH: {"color": style.WITH, "linewidth": 1.0, "alpha": 1.0, "label": "ALRC"},
}
RATES = ("stable", "high")
HIGH = "#FBF6EE"  # behind the panels of a high rate
BELOW = 1.6  # of a cross that marks divergence, from the top: above it is a title
TALLEST = 300.0  # a panel's top / its lowest point: beyond, lines leave it
SOURCES = {
    "photographs": "crops of photographs, a stand-in for CIFAR-10",
    "cifar10": "CIFAR-10",
}


def drawable(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that have a place in the grid."""
    return runs[runs["rate"].isin(RATES) & runs["clipping"].isin(STYLES)]


def draw(runs: pd.DataFrame, stem: Path) -> Figure:
    """Draw runs of one error and one collection of images to <stem>.png and <stem>.pdf.

    runs: of those that are `drawable`. Raises InputError where there is nothing to draw.
    """
    if runs.empty:
        raise InputError("no runs at the rates stable and high, without clipping or with ALRC")
    lowest = min(curve.min(initial=math.inf) for curve in runs["curve"])
    if math.isinf(lowest):
        raise InputError(f"no run is as long as the boxcar, {BOXCAR} iterations")
    sizes = sorted(set(runs["batch_size"]))
    columns = sorted(set(zip(runs["optimizer"], runs["rate"].map(RATES.index), strict=True)))
    figure = Figure(
        figsize=(1.5 + 1.95 * len(columns), 1.6 + 1.75 * len(sizes)), layout="constrained"
    )
    axes = figure.subplots(len(sizes), len(columns), squeeze=False, sharex=True, sharey=True)
    for column, (optimizer, rate) in enumerate(columns):
        of_column = runs[(runs["optimizer"] == optimizer) & (runs["rate"] == RATES[rate])]
        for row, size in enumerate(sizes):
            _draw_panel(axes[row, column], of_column[of_column["batch_size"] == size], lowest)
            if RATES[rate] == "high":
                axes[row, column].set_facecolor(HIGH)
        lrs = ", ".join(f"{lr:g}" for lr in sorted(set(of_column["lr"])))
        name = OPTIMIZERS.get(optimizer, optimizer)
        axes[0, column].set_title(f"{name}\n{RATES[rate]} rate, {lrs}", fontsize=9.5)
        axes[-1, column].set_xlabel("iteration", fontsize=8.5)
    for row, size in enumerate(sizes):
        axes[row, 0].set_ylabel(f"batch {size}", fontsize=10)
    error = runs["error"].iloc[0]
    figure.supylabel(f"{error} error, mean of {BOXCAR} iterations", fontsize=10)
    figure.suptitle(
        f"Learning curves of 2× supersampling, {error} errors", fontsize=13, weight="bold"
    )
    _legend(axes[0, 0])
    style.footer(figure, _footer(runs))
    style.save(figure, stem)
    return figure


def _draw_panel(ax: Axes, runs: pd.DataFrame, lowest: float) -> None:
    """The runs of one setting, those with ALRC on top. lowest: point of all curves."""
    top = TALLEST * lowest
    for clipping, look in STYLES.items():
        for run in runs[runs["clipping"] == clipping].itertuples():
            iterations = BLOCK * np.arange(WIDTH, WIDTH + len(run.curve))
            curve = np.minimum(run.curve, 1e30)  # what isn't finite leaves the panel, too
            ax.plot(iterations, curve, **look, solid_joinstyle="round")
            if run.diverged:
                ax.plot(run.iterations, top / BELOW, marker="x", color=look["color"],
                        markersize=7, markeredgewidth=1.8, zorder=5)  # fmt: skip
    _note_peaks(ax, runs, top)
    ax.set(yscale="log", ylim=(lowest / 1.3, top))
    ax.yaxis.set_major_locator(LogLocator(numticks=4))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.tick_params(labelsize=8)
    style.bare(ax)


def _note_peaks(ax: Axes, runs: pd.DataFrame, top: float) -> None:
    """How high the lines go that leave the panel."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    places = iter((0.97, 0.86))
    for clipping, look in STYLES.items():
        curves = runs.loc[runs["clipping"] == clipping, "curve"]
        highest = max((curve.max(initial=0.0) for curve in curves), default=0.0)
        if highest > top:
            power = r"\infty" if math.isinf(highest) else f"10^{{{math.log10(highest):.0f}}}"
            ax.text(0.97, next(places), f"up to ${power}$", transform=ax.transAxes, bbox=box,
                    color=look["color"], fontsize=8, ha="right", va="top", zorder=6)  # fmt: skip


def _legend(ax: Axes) -> None:
    """In the first panel, the stable one: its upper part is empty."""
    handles = [Line2D([], [], **look) for look in STYLES.values()]
    handles.append(Line2D([], [], color="#444444", marker="x", linestyle="", label="diverged"))
    ax.legend(handles=handles, loc="upper right", frameon=False, fontsize=8.5)


def _footer(runs: pd.DataFrame) -> str:
    first = runs.iloc[0]
    seeds = sorted(set(runs["seed"]))
    return style.BETWEEN.join([
        f"images {first['images']} ({SOURCES.get(first['images'], first['images'])}, "
        f"{first['fingerprint'][:8]})",
        f"{first['wanted']:,} iterations",
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        *(", ".join(sorted(set(runs[key]))) for key in ("commit", "device", "date")),
    ])  # fmt: skip
