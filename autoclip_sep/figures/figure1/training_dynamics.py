"""Figure 1 of the AutoClip paper: training dynamics without and with AutoClip.

Step size and training loss against iterations, and the density of log smoothness against log
gradient norm, one panel for each run on the same axes, with their correlation r. Runs of any loop
can be drawn: one, or several beside each other.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, MaxNLocator

from autoclip_sep.figures import style
from autoclip_sep.figures.figure1.hexagons import Hexagons
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.run_dynamics import Panel, panel
from autoclip_sep.figures.run_pairs import draw_each
from autoclip_sep.figures.runs import RunFound, Series
from autoclip_sep.figures.smoothing import running_median

DENSITY = ListedColormap(colormaps["YlGnBu"](np.linspace(0.28, 1, 256)))  # no near-white end
HEXAGONS = 34  # side by side
ASPECT = 0.78  # of the densities' axes, height / width
CASING = [Stroke(linewidth=3.2, foreground="white"), Normal()]
GREY = "#666666"
TITLE = "Training dynamics without and with AutoClip"
Rectangle = tuple[float, float, float, float]  # left, right, bottom, top


def _mosaic(figure: Figure, count: int) -> tuple[dict[str, Axes], list[Axes]]:
    """Axes of the names, the step sizes and the losses, and `count` densities."""
    densities = [f"density {n}" for n in range(count)]
    curves = ["sizes", "losses"]
    if count == 1:
        places: Any = [["names"] * 3, [*curves, *densities]]
    elif count == 2:
        places = [["names"] * 2, curves, densities]
    else:
        places = [["names"] * 2 * count, *(
            [name for name in names for _ in range(2 * count // len(names))]
            for names in (curves, densities)
        )]  # fmt: skip
    axes = figure.subplot_mosaic(places, height_ratios=(0.04, *[1] * (len(places) - 1)))
    return axes, [axes[name] for name in densities]


class Stage:
    """Figure 1 with everything in place that doesn't move: axes, their limits, names, legends.

    panels: whole runs, in the paper one without clipping and one with. `show` then draws them as
    far as is wanted. loss: its name; empty where nobody tells.
    """

    def __init__(self, panels: Sequence[Panel], loss: str, footer: str, title: str = TITLE) -> None:
        count = len(panels)
        self.colours = style.colours(count)
        size = (12.4, 4.3) if count == 1 else (4.3 * count, 7.4)
        self.figure = Figure(figsize=size, layout="constrained")
        axes, densities = _mosaic(self.figure, count)
        self._linear = any((one.loss[np.isfinite(one.loss)] <= 0).any() for one in panels)
        window = max(11, len(panels[0].step) // 20) | 1
        sizes = [one.step_norm for one in panels]
        self.sizes = _curves(axes["sizes"], panels, sizes, self.colours, window)
        self.losses = _curves(axes["losses"], panels, self._heights(panels), self.colours, window)
        axes["sizes"].set(title="Step size", ylabel=style.STEP_SIZE, ylim=(0, None))
        _name_losses(axes["losses"], loss, self._linear)
        extent = _extent(panels)
        self.hexagons = [Hexagons(one, extent, HEXAGONS, ASPECT, DENSITY) for one in densities]
        self.notes = [
            _prepare(*each, extent) for each in zip(densities, panels, self.colours, strict=True)
        ]
        self._share_colours(panels, densities[-1].inset_axes((1.03, 0, 0.035, 1)))
        self.thresholds = [_Threshold(axes, len(one.step))
                           for axes, one in zip(densities, panels, strict=True)]  # fmt: skip
        self.clock = axes["losses"].text(0.97, 0.95, "", transform=axes["losses"].transAxes,
                                         ha="right", va="top", fontsize=11)  # fmt: skip
        _name_curves(axes["names"], panels, self.colours, window)
        whole = f"{title}: {style.loss_name(loss)}" if loss else title
        self.figure.suptitle(whole, fontsize=12.5, weight="bold")
        style.footer(self.figure, footer)

    @property
    def moving(self) -> list[Artist]:
        """All that `show` changes, from the back to the front."""
        curves = [*self.sizes, *self.losses]
        return [
            *(cells.cells for cells in self.hexagons), *(curve.thin for curve in curves),
            *(curve.thick for curve in curves), *(one.line for one in self.thresholds),
            *(one.value for one in self.thresholds), *self.notes, self.clock,
        ]  # fmt: skip

    def _heights(self, panels: Sequence[Panel]) -> list[Series]:
        """The losses as drawn: their natural log, themselves where any is 0 or below."""
        return [one.loss if self._linear else np.log(one.loss) for one in panels]

    def _share_colours(self, panels: Sequence[Panel], bar: Axes) -> None:
        """One colour scale for both densities, from 1 to the most there will be in a hexagon."""
        most = max(int(cells.count(one.norm, one.smoothness).max())
                   for cells, one in zip(self.hexagons, panels, strict=True))  # fmt: skip
        for cells in self.hexagons:
            cells.scale(most)
        self.figure.colorbar(self.hexagons[0].cells, cax=bar, label="recorded iterations",
                             ticks=MaxNLocator(integer=True))  # fmt: skip

    def show(self, panels: Sequence[Panel]) -> None:
        """Draw the runs as far as they have come."""
        for n, (one, heights) in enumerate(zip(panels, self._heights(panels), strict=True)):
            self.sizes[n].show(one.step, one.step_norm)
            self.losses[n].show(one.step, heights)
            self.hexagons[n].show(self.hexagons[n].count(one.norm, one.smoothness))
            r = f"r = {one.r:.2f}".replace("-", "\N{MINUS SIGN}")
            self.notes[n].set_text(r if math.isfinite(one.r) else "")
            self.thresholds[n].show(one)


class _Threshold:
    """A clipping threshold in a density, and its value beside it; nothing without clipping."""

    def __init__(self, axes: Axes, rows: int) -> None:
        self._rows = rows  # of the whole run
        self.line = axes.axvline(math.nan, color="black", linestyle=":", linewidth=1.6)
        self.value = axes.annotate(
            "", (0, 0.03), (7, 0), ("data", "axes fraction"), "offset points", fontsize=8.5,
            va="bottom", annotation_clip=True, path_effects=style.HALO,
        )  # fmt: skip

    def show(self, one: Panel) -> None:
        """The threshold where the run has come to."""
        known = math.isfinite(one.threshold)
        self.line.set_xdata([one.threshold if known else math.nan] * 2)
        self.value.xy = (one.threshold if known else 0, self.value.xy[1])
        when = " at the end" if len(one.step) == self._rows else ""
        self.value.set_text(f"threshold{when}\n{_short(10**one.threshold)}" if known else "")


class _Curve:
    """A run's values, thin, and their running median over them."""

    def __init__(self, thin: Line2D, thick: Line2D, median: Series) -> None:
        self.thin, self.thick, self.median = thin, thick, median

    def show(self, step: Series, values: Series) -> None:
        """Draw the first values."""
        self.thin.set_data(step, values)
        self.thick.set_data(step, self.median[: len(step)])


def _curves(
    axes: Axes,
    panels: Sequence[Panel],
    values: Sequence[Series],
    colours: Sequence[str],
    window: int,
) -> list[_Curve]:
    """One curve for each run; the axes keep the limits that hold all values."""
    curves = []
    for order, (one, heights, colour) in enumerate(zip(panels, values, colours, strict=True)):
        width = float(np.clip(18 / math.sqrt(len(one.step)), 0.35, 0.9))
        thin, = axes.plot(one.step, heights, color=colour, linewidth=width, alpha=0.6,
                          zorder=2 + order)  # fmt: skip
        median = running_median(heights, window)
        thick, = axes.plot(one.step, median, color=colour, linewidth=1.8, zorder=4 + order,
                           path_effects=CASING)  # fmt: skip
        curves.append(_Curve(thin, thick, median))
    axes.set(xlim=(0, max(one.step[-1] for one in panels)), xlabel="Iteration")
    axes.autoscale(False)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.bare(axes)
    return curves


def _name_curves(axes: Axes, panels: Sequence[Panel], colours: Sequence[str], window: int) -> None:
    """A legend above all curves, where it hides no spike."""
    kinds = [(one.label, colour, 2.4) for one, colour in zip(panels, colours, strict=True)]
    kinds += [("recorded iterations", GREY, 0.7), (f"running median of {window}", GREY, 1.8)]
    lines = [Line2D([], [], label=label, color=colour, linewidth=width)
             for label, colour, width in kinds]  # fmt: skip
    style.legend_alone(axes, lines)


def _name_losses(axes: Axes, loss: str, linear: bool) -> None:
    symbol = style.LOSSES.get(loss, (loss, loss.replace("_", " ")))[1] or "loss"
    if linear:
        unit = " [dB]" if loss == "snr" else ""
        axes.set(title="Training loss (linear axis: not all above 0)", ylabel=symbol + unit)
    else:
        axes.set(title="Training loss", ylabel=f"ln {symbol}")


def _prepare(axes: Axes, one: Panel, colour: str, extent: Rectangle) -> Text:
    """Name the axes of a density. Returns where its correlation is written."""
    axes.set(xlim=extent[:2], ylim=extent[2:],
             xlabel=r"log$_{10}$ gradient norm", ylabel=r"log$_{10}$ smoothness")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    axes.set_title(one.label, color=colour)
    style.bare(axes)
    return axes.text(0.03, 0.965, "", transform=axes.transAxes, va="top", fontsize=11,
                     bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip


def _short(value: float) -> str:
    """Two digits, with a power of ten where there are many zeros."""
    digits, _, power = f"{value:.1e}".partition("e")
    if -3 <= int(power) < 4:
        return f"{value:.2g}"
    return rf"${digits} \times 10^{{{int(power)}}}$"


def _extent(panels: Sequence[Panel]) -> Rectangle:
    """Left, right, bottom and top of both densities: all points and the last threshold."""
    ends = [one.threshold for one in panels if math.isfinite(one.threshold)]
    left, right = _range(np.concatenate([*(one.norm for one in panels), ends]))
    return (left, right, *_range(np.concatenate([one.smoothness for one in panels])))


def _range(values: Series) -> tuple[float, float]:
    """Least and most, with a margin on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def draw(without: RunFound, with_autoclip: RunFound, stem: Path) -> tuple[Panel, Panel]:
    """Draw Figure 1 to <stem>.png and <stem>.pdf and return what was drawn.

    without: the run with p = 100 or no clipping. with_autoclip: the run to compare with it.
    """
    panels = panel(without), panel(with_autoclip)
    stage = Stage(panels, with_autoclip.group[1], origin([without, with_autoclip]).line())
    stage.show(panels)
    style.save(stage.figure, stem)
    return panels


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """Figure 1 of every pair of runs. Returns a line for each: what was drawn, or why not."""

    def line(without: RunFound, with_autoclip: RunFound, stem: Path) -> str:
        left, right = draw(without, with_autoclip, stem)
        return f"{stem}.png  r = {left.r:.2f} without clipping, {right.r:.2f} with AutoClip"

    return draw_each(found, line, output / "training_dynamics")


def draw_records(runs: Sequence[RunFound], footer: str, output: Path) -> str:
    """Figure 1 of any loop's records beside each other, as <output>/figure1; a line of it."""
    panels = [panel(run) for run in runs]
    stage = Stage(panels, "", footer, "Training dynamics")
    stage.show(panels)
    style.save(stage.figure, output / "figure1")
    rs = ", ".join(f"{one.r:.2f} in {one.label}" for one in panels)
    return f"{output / 'figure1'}.png  r = {rs}"
