"""The axes of Figure 1, on which runs are shown as far as they have come."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from autoclip_sep.figures import style
from autoclip_sep.figures.record_files import Series
from autoclip_sep.figures.run_dynamics import RunDynamics
from autoclip_sep.figures.smoothing import running_median

DENSITY = ListedColormap(colormaps["YlGnBu"](np.linspace(0.28, 1, 256)))  # no near-white end
HEXAGONS = 34  # side by side
ASPECT = 0.78  # of the densities' axes, height / width
CASING = [Stroke(linewidth=3.2, foreground="white"), Normal()]
GREY = "#666666"
Rectangle = tuple[float, float, float, float]  # left, right, bottom, top


class Stage:
    """Figure 1 with everything in place that doesn't move: axes, their limits, names, legends.

    runs: whole, in the paper one without clipping and one with. `show` then draws them as far as
    they had come by a step. loss: its name; empty where it is unknown. text: the footer.
    """

    def __init__(self, runs: Sequence[RunDynamics], loss: str, text: str, title: str) -> None:
        self.runs = runs
        self.figure = Figure(
            figsize=(12.4, 4.3) if len(runs) == 1 else (4.3 * len(runs), 7.4), layout="constrained"
        )
        axes, densities = _mosaic(self.figure, len(runs))
        self.densities = densities
        colours, window = style.colours(len(runs)), max(11, len(runs[0].rows) // 20) | 1
        linear = _add_heights(runs)
        self.sizes = _curves(axes["sizes"], runs, "step_norm", colours, window)
        self.losses = _curves(axes["losses"], runs, "height", colours, window)
        axes["sizes"].set(title="Step size", ylabel=style.STEP_SIZE, ylim=(0, None))
        _name_losses(axes["losses"], loss, linear)
        extent = _extent(runs)
        self._scale = Normalize(1)
        self._hexagons: dict[str, Any] = {
            "gridsize": (HEXAGONS, round(HEXAGONS * ASPECT / math.sqrt(3))), "extent": extent,
            "mincnt": 1, "cmap": DENSITY, "norm": self._scale, "linewidths": 0.15,
            "edgecolors": "white",
        }  # fmt: skip
        self.hexagons = [self._density(*each) for each in zip(densities, runs, strict=True)]
        self._scale.vmax = max(2, *(np.asarray(one.get_array()).max() for one in self.hexagons))
        self.notes = [
            _prepare(*each, extent) for each in zip(densities, runs, colours, strict=True)
        ]
        bar = densities[-1].inset_axes((1.03, 0, 0.035, 1))
        self.figure.colorbar(ScalarMappable(self._scale, DENSITY), cax=bar,
                             label="recorded iterations",
                             ticks=MaxNLocator(integer=True))  # fmt: skip
        self.thresholds = [one.axvline(math.nan, color="black", linestyle=":", linewidth=1.6)
                           for one in densities]  # fmt: skip
        self.values = [one.annotate(
            "", (0, 0.03), (7, 0), ("data", "axes fraction"), "offset points", fontsize=8.5,
            va="bottom", annotation_clip=True, path_effects=style.HALO,
        ) for one in densities]  # fmt: skip
        self.clock = axes["losses"].text(0.97, 0.95, "", transform=axes["losses"].transAxes,
                                         ha="right", va="top", fontsize=11)  # fmt: skip
        _name_curves(axes["names"], runs, colours, window)
        whole = f"{title}: {style.loss_name(loss)}" if loss else title
        self.figure.suptitle(whole, fontsize=12.5, weight="bold")
        style.footer(self.figure, text)

    @property
    def moving(self) -> list[Artist]:
        """All that `show` changes, from the back to the front."""
        curves = [*self.sizes, *self.losses]
        return [
            *self.hexagons, *(thin for thin, _ in curves),
            *(thick for _, thick in curves), *self.thresholds, *self.values, *self.notes,
            self.clock,
        ]  # fmt: skip

    def _density(self, axes: Axes, one: RunDynamics) -> PolyCollection:
        """Hexagons that stay where they are while points are added; those without are left out."""
        return axes.hexbin(one.probed["norm"], one.probed["smoothness"], **self._hexagons)

    def show(self, step: float = math.inf) -> None:
        """Draw the runs as far as they had come by a step."""
        for n, whole in enumerate(self.runs):
            one = whole.until(step)
            for (thin, thick), name in ((self.sizes[n], "step_norm"), (self.losses[n], "height")):
                thin.set_data(one.rows["step"], one.rows[name])
                thick.set_data(one.rows["step"], one.rows[f"{name}_median"])
            self.hexagons[n].remove()
            self.hexagons[n] = self._density(self.densities[n], one)
            r = f"r = {one.r:.2f}".replace("-", "\N{MINUS SIGN}")
            self.notes[n].set_text(r if math.isfinite(one.r) else "")
            clipped = math.isfinite(one.threshold)
            self.thresholds[n].set_xdata([one.threshold if clipped else math.nan] * 2)
            self.values[n].xy = (one.threshold if clipped else 0, self.values[n].xy[1])
            when = " at the end" if len(one.rows) == len(whole.rows) else ""
            value = f"threshold{when}\n{_short(10**one.threshold)}" if clipped else ""
            self.values[n].set_text(value)


def _add_heights(runs: Sequence[RunDynamics]) -> bool:
    """Add to each run the losses as drawn: their natural log, themselves where any is 0 or below.

    Returns whether they are drawn themselves.
    """
    linear = any((one.rows["loss"] <= 0).any() for one in runs)
    for one in runs:
        one.rows["height"] = one.rows["loss"] if linear else np.log(one.rows["loss"])
    return linear


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


def _curves(
    axes: Axes, runs: Sequence[RunDynamics], name: str, colours: Sequence[str], window: int
) -> list[tuple[Line2D, Line2D]]:
    """For each run a column's values, thin, and over them their running median, which is added.

    The axes keep the limits that hold all values.
    """
    curves = []
    for order, (one, colour) in enumerate(zip(runs, colours, strict=True)):
        step, values = one.rows["step"], one.rows[name]
        median = one.rows[f"{name}_median"] = running_median(values.to_numpy(), window)
        width = float(np.clip(18 / math.sqrt(len(one.rows)), 0.35, 0.9))
        thin, = axes.plot(step, values, color=colour, linewidth=width, alpha=0.6,
                          zorder=2 + order)  # fmt: skip
        thick, = axes.plot(step, median, color=colour, linewidth=1.8,
                           zorder=4 + order, path_effects=CASING)  # fmt: skip
        curves.append((thin, thick))
    axes.set(xlim=(0, max(one.rows["step"].iloc[-1] for one in runs)), xlabel="Iteration")
    axes.autoscale(False)
    style.over_iterations(axes)
    return curves


def _name_curves(
    axes: Axes, runs: Sequence[RunDynamics], colours: Sequence[str], window: int
) -> None:
    """A legend above all curves, where it hides no spike."""
    kinds = [(one.label, colour, 2.4) for one, colour in zip(runs, colours, strict=True)]
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


def _prepare(axes: Axes, one: RunDynamics, colour: str, extent: Rectangle) -> Text:
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


def _extent(runs: Sequence[RunDynamics]) -> Rectangle:
    """Left, right, bottom and top of all densities: all points and the last threshold."""
    ends = [one.threshold for one in runs if math.isfinite(one.threshold)]
    left, right = _range(np.concatenate([*(one.probed["norm"] for one in runs), ends]))
    return (left, right, *_range(np.concatenate([one.probed["smoothness"] for one in runs])))


def _range(values: Series) -> tuple[float, float]:
    """Least and most, with a margin on both sides."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
