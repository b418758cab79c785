"""What the interactive plots share. They are plotly's figures as plain data: axes, curves, names.

Colours are names beginning with @, which page.js looks up in page.css, for light and dark.
"""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoclip_sep.names import shown
from autoclip_sep.statistics.interval import Interval

MOST_POINTS = 1500  # of a curve
DIGITS = 5  # significant ones, that the page stays small
Trace = dict[str, Any]


def label(name: str) -> str:
    """A name as plotly draws it: it takes <b> and <a> for its own."""
    return html.escape(shown(name), quote=False)


def numbers(values: ArrayLike) -> list[float | None]:
    """Values as JSON can hold them: of five digits, None where they aren't finite."""
    flat = np.asarray(values, dtype=float)
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in flat]


def thinned(steps: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A long curve by the least and the greatest value of each stretch, that no spike is lost."""
    stretch = -(-2 * len(values) // MOST_POINTS)
    if stretch <= 2:
        return steps, values
    kept: list[int] = []
    for start in range(0, len(values), stretch):
        part = values[start : start + stretch]
        ends = {int(np.argmin(part)), int(np.argmax(part))}  # NaN is both
        kept += [start + end for end in sorted(ends)]
    return steps[kept], values[kept]


def curve(
    steps: NDArray[Any], values: NDArray[Any], name: str, colour: str, **more: Any
) -> Trace:  # fmt: skip
    """A line over the iterations."""
    steps, values = thinned(steps, values)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": numbers(steps),
        "y": numbers(values),
        "name": label(name),
        "line": {"color": colour, "width": more.pop("width", 2), "dash": more.pop("dash", "solid")},
        **more,
    }


def layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    """Axes with titles; more: settings of the axes, such as x_type, and of the layout."""
    axes: dict[str, dict[str, Any]] = {"x": {"title": {"text": x}}, "y": {"title": {"text": y}}}
    rest = {}
    for key, value in more.items():
        if key[:2] in ("x_", "y_"):
            axes[key[0]][key[2:]] = value
        else:
            rest[key] = value
    return {"xaxis": axes["x"], "yaxis": axes["y"], **rest}


def log_ticks(ends: Sequence[float]) -> dict[str, Any]:
    """Ticks of a logarithmic axis, at 1, 2 and 5, or at powers of ten where there are many.

    ends: as powers of ten.
    """
    steps = (1,) if ends[1] - ends[0] > 1.7 else (1, 2, 5)
    powers = range(math.floor(ends[0]) - 1, math.ceil(ends[1]) + 2)
    values = [times * 10.0**power for power in powers for times in steps]
    return {
        "tickvals": [float(f"{value:.1g}") for value in values],
        "ticktext": [f"{value:.0e}".replace("e-0", "e−").replace("e+0", "e") for value in values],
    }


def limits(parts: Iterable[ArrayLike], margin: float = 0.05) -> list[float]:
    """The least and the greatest of all finite values, with a margin, for axes to share."""
    values = np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in parts])
    values = values[np.isfinite(values)]
    if not len(values):
        return [0.0, 1.0]
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) or 0.5
    return [low - room, high + room]


def with_interval(one: Interval, digits: int = 2) -> str:
    """A mean and between which bounds it lies."""
    mean, low, high = (decimal(value, digits) for value in (one.mean, one.low, one.high))
    return mean if math.isnan(one.low) else f"{mean} ({low} to {high})"


def signed(value: float, unit: str = "") -> str:
    """+0.55 dB, −0.55 dB."""
    return f"{value:+.2f}".replace("-", "−") + (f" {unit}" if unit else "")


def decimal(value: float, digits: int = 2) -> str:
    """With a minus sign; a dash where there is no number."""
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else "–"
