"""Figure 1 of the AutoClip paper: training dynamics without and with AutoClip.

Step size and training loss against iterations, and the density of log smoothness against log
gradient norm, one panel for each run on the same axes, with their correlation.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from autoclip_sep.errors import InputError
from autoclip_sep.figures import drawing
from autoclip_sep.figures.runs_found import RunFound, Series

COLOURS = (drawing.WITHOUT, drawing.WITH)
DENSITY = "cividis"
HEXAGONS = 32
FEWEST_ROWS = 3


@dataclass(frozen=True)
class Panel:
    """What one run contributes: the numbers drawn, for captions and tests.

    norm, smoothness: log10, of the rows that have both. r: their Pearson correlation.
    threshold: log10 of the clipping threshold at the end of training, inf where there is none.
    """

    label: str
    step: Series
    step_norm: Series
    log_loss: Series
    norm: Series
    smoothness: Series
    r: float
    threshold: float


def panel(run: RunFound) -> Panel:
    """The numbers of a run.

    Raises InputError where too few rows have a smoothness.
    """
    rows = run.dynamics
    usable = (rows["smoothness"] > 0) & (rows["grad_norm"] > 0)
    usable &= np.isfinite(rows["smoothness"]) & np.isfinite(rows["grad_norm"])
    if usable.sum() < FEWEST_ROWS:
        raise InputError(
            f"{run.directory}: {usable.sum()} rows with a smoothness, at least {FEWEST_ROWS} are "
            "needed: train longer, with trainer.probe_points >= 1"
        )
    norm, smooth = np.log10(rows["grad_norm"][usable]), np.log10(rows["smoothness"][usable])
    threshold = float(rows["threshold"][usable][-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        log_loss = np.log(rows["loss"])  # NaN where a loss that changes sign is negative
    return Panel(
        run.clipping,
        rows["step"],
        rows["step_norm"],
        log_loss,
        norm,
        smooth,
        float(np.corrcoef(norm, smooth)[0, 1]),
        math.log10(threshold) if math.isfinite(threshold) else math.inf,
    )


def draw(without: RunFound, with_autoclip: RunFound, stem: Path) -> tuple[Panel, Panel]:
    """Draw Figure 1 to <stem>.png and <stem>.pdf and return what was drawn.

    without: the run with p = 100 or no clipping. with_autoclip: the run to compare with it.
    """
    panels = panel(without), panel(with_autoclip)
    figure = Figure(figsize=(9.2, 7.4), layout="constrained")
    axes = figure.subplots(2, 2)
    _against_iterations(axes[0, 0], axes[0, 1], panels)
    _densities(figure, axes[1, 0], axes[1, 1], panels)
    figure.suptitle("Training dynamics, without and with AutoClip", fontsize=13, weight="bold")
    drawing.footer(figure, with_autoclip.footer())
    drawing.save(figure, stem)
    return panels


def _against_iterations(sizes: Axes, losses: Axes, panels: tuple[Panel, Panel]) -> None:
    for one, colour in zip(panels, COLOURS, strict=True):
        sizes.plot(one.step, one.step_norm, color=colour, linewidth=0.9, label=one.label)
        losses.plot(one.step, one.log_loss, color=colour, linewidth=0.9, alpha=0.9,
                    label=one.label)  # fmt: skip
    sizes.set(xlabel="Iteration", title="Step size", ylim=(0, None),
              ylabel=r"$\|\theta_t - \theta_{t-1}\|_2$")  # fmt: skip
    losses.set(xlabel="Iteration", ylabel="ln(training loss)", title="Training loss")
    for axes in (sizes, losses):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        drawing.bare(axes)
    sizes.legend(frameon=False, fontsize=9)


def _densities(figure: Figure, left: Axes, right: Axes, panels: tuple[Panel, Panel]) -> None:
    norms = np.concatenate([one.norm for one in panels])
    smooths = np.concatenate([one.smoothness for one in panels])
    extent = (*_range(norms), *_range(smooths))
    for axes, one in zip((left, right), panels, strict=True):
        density = axes.hexbin(one.norm, one.smoothness, gridsize=HEXAGONS, extent=extent,
                              mincnt=1, cmap=DENSITY, linewidths=0.1)  # fmt: skip
        axes.set(xlim=extent[:2], ylim=extent[2:], title=one.label,
                 xlabel=r"log$_{10}$(gradient norm)", ylabel=r"log$_{10}$(smoothness)")  # fmt: skip
        axes.text(0.04, 0.94, f"r = {one.r:.2f}", transform=axes.transAxes, va="top", fontsize=11,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8})  # fmt: skip
        if math.isfinite(one.threshold) and one.label != "No clipping":
            axes.axvline(one.threshold, color=COLOURS[1], linestyle=":", linewidth=1.8,
                         label="threshold at the end")  # fmt: skip
            axes.legend(loc="lower right", fontsize=8, frameon=True, edgecolor="none")
        figure.colorbar(density, ax=axes, label="iterations", pad=0.01, aspect=30)


def _range(values: Series) -> tuple[float, float]:
    """Least and most, with a margin on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
