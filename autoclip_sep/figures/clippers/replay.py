"""What AutoClip would have clipped of recorded gradient norms, for several percentiles.

On the left the norms over the steps with each percentile's threshold on a logarithmic axis, on the
right the share of steps that would have been clipped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from scipy.optimize import isotonic_regression

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style
from autoclip_sep.figures.record_files import Series

NORMS = "#9AA3AB"
PALETTE = "viridis"  # told apart in grey and by the colour-blind; its yellow end is left out
DARKER = 0.8  # letters, thinner than curves, than the curves they name
MOST_POINTS = 4000  # of a threshold's curve: more than there are pixels
LABEL_HEIGHT = 0.042  # of the axes


@dataclass(frozen=True)
class Curve:
    """One percentile: its threshold at every step, and the share of clipped steps in [0, 1].

    thresholds: (steps,); non-finite ones are left out.
    """

    percentile: float
    thresholds: Series
    share: float


def draw(steps: Series, norms: Series, curves: Sequence[Curve], footer: str, stem: Path) -> Figure:
    """Draw to <stem>.png and <stem>.pdf and return the figure.

    steps, norms: (steps,); non-finite norms are left out.

    Raises InputError where no norm is above 0, so that a logarithmic axis has nothing to show.
    """
    if not (np.isfinite(norms) & (norms > 0)).any():
        raise InputError("not drawn: every norm is 0, which a logarithmic axis can't show")
    curves = sorted(curves, key=lambda curve: curve.percentile)
    figure = Figure(figsize=(9.2, 4.6), layout=ConstrainedLayoutEngine(wspace=0.08))
    axes, shares = figure.subplots(1, 2, width_ratios=(2.7, 1))
    colours = mpl.colormaps[PALETTE](np.linspace(0.0, 0.78, len(curves)))
    _curves(axes, steps, norms, curves, colours)
    _shares(shares, curves, colours)
    style.finish(figure, "What AutoClip would have clipped", [footer], stem)
    return figure


def _curves(
    axes: Axes, steps: Series, norms: Series, curves: Sequence[Curve], colours: Series
) -> None:
    seen = np.isfinite(norms) & (norms > 0)
    fewer = 1 / math.sqrt(seen.sum())  # the more dots, the smaller and the fainter
    axes.plot(steps[seen], norms[seen], linestyle="none", marker=".", markeredgewidth=0,
              markersize=np.clip(120 * fewer, 1.2, 8), alpha=np.clip(40 * fewer, 0.2, 0.6),
              color=NORMS, rasterized=True, zorder=1)  # fmt: skip
    for curve, colour in zip(curves, colours, strict=True):
        known = np.flatnonzero(np.isfinite(curve.thresholds) & np.isfinite(norms))
        thinned = known[:: math.ceil(len(known) / MOST_POINTS) or 1]
        places = np.union1d(thinned, known[-1:])
        axes.plot(steps[places], curve.thresholds[places], color="white", linewidth=3.0, zorder=2)
        axes.plot(steps[places], curve.thresholds[places], color=colour, linewidth=1.6, zorder=3)
    axes.set(xlabel="Iteration", ylabel="gradient norm", title="Norms and thresholds",
             yscale="log", xlim=(steps[0] - 1, steps[-1]))  # fmt: skip
    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=4, color=NORMS, label="norm"),
        Line2D([], [], linewidth=1.6, color=colours[0], label="threshold"),
    ]
    axes.legend(handles=handles, frameon=False, fontsize=8.5, loc="upper right", ncols=2)
    style.over_iterations(axes)
    _name_at_the_end(axes, curves, colours)


def _name_at_the_end(axes: Axes, curves: Sequence[Curve], colours: Series) -> None:
    """p beside the end of each curve, moved up or down where names would meet."""
    ends = [curve.thresholds[np.isfinite(curve.thresholds)][-1:] for curve in curves]
    low, high = np.log10(axes.get_ylim())
    shown = [n for n, end in enumerate(ends) if len(end) and end[0] > 0]
    heights = [(math.log10(ends[n][0]) - low) / (high - low) for n in shown]
    for n, height in zip(shown, apart(heights, LABEL_HEIGHT), strict=True):
        axes.annotate(f"p = {curves[n].percentile:g}", (1, height), xytext=(5, 0),
                      xycoords="axes fraction", textcoords="offset points", va="center",
                      fontsize=9, color=DARKER * colours[n, :3],
                      annotation_clip=False)  # fmt: skip


def apart(heights: Sequence[float], distance: float) -> Series:
    """Rising heights moved as little as it takes to lie at least `distance` apart.

    Their order is kept, so less the distances this is isotonic regression, in least squares.
    """
    steps = distance * np.arange(len(heights), dtype=np.float64)
    moved = isotonic_regression(heights - steps).x if len(heights) else 0.0
    return np.asarray(moved + steps, dtype=np.float64)


def _shares(axes: Axes, curves: Sequence[Curve], colours: Series) -> None:
    places = range(len(curves))
    axes.barh(places, [curve.share for curve in curves], color=colours, height=0.62)
    for place, curve in zip(places, curves, strict=True):
        axes.text(curve.share + 0.02, place, f"{curve.share:.1%}", va="center", fontsize=9)
    axes.set(xlim=(0, 1.25), xticks=(0, 0.5, 1), yticks=places, xlabel="of these steps",
             yticklabels=[f"p = {curve.percentile:g}" for curve in curves],
             title="Share clipped")  # fmt: skip
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    style.bare_bars(axes)
