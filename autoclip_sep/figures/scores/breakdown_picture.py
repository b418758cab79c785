"""The means of every group as a picture: a panel for each attribute."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style
from autoclip_sep.figures.scores.breakdown import Breakdown
from autoclip_sep.names import shown

LINE, HEAD = 0.22, 0.55  # inches, for a group and for a panel's title and gap
LONGEST = 34  # letters of a group's name


def draw(found: Breakdown, metric: str, title: str, notes: Sequence[str], stem: Path) -> Path:
    """Write <stem>.png. Raises InputError where no attribute has groups."""
    panels = [(str(name), rows) for name, rows in found.groups.groupby("attribute", sort=False)]
    if not panels:
        raise InputError("nothing to draw: no attribute has two groups")
    left, right = columns(panels)
    height = max(map(_height, (left, right)))
    figure = Figure(figsize=(10.5 if right else 6, height + 1.3), layout="constrained")
    parts = figure.subfigures(1, 2 if right else 1, squeeze=False)[0]
    for part, own in zip(parts, (left, right), strict=False):
        spare = height - _height(own)
        ratios = [_height([panel]) for panel in own] + ([spare] if spare > 0.01 else [])
        axes = part.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
        for one, (name, rows) in zip(axes, own, strict=False):
            _panel(one, name, rows, found.mean)
        for one in axes[len(own) :]:
            one.axis("off")
    bounds = found.groups[["mean", "low", "high"]].to_numpy(float)
    low, high = np.nanmin(bounds), np.nanmax(bounds)
    for one in figure.axes:
        one.set_xlim(low - 0.05 * (high - low) - 1e-9, high + 0.14 * (high - low) + 1e-9)
    notes = [f"mean {metric} with its 95 % interval; dotted: the mean of all", *notes]
    figure.suptitle(_plain(title), fontsize=13, weight="bold")
    style.footer(figure, _plain(style.BETWEEN.join(notes)))
    style.save(figure, stem, (".png",))
    return stem.with_name(f"{stem.name}.png")


def columns(panels: list[tuple[str, DataFrame]]) -> tuple[list, list]:
    """The panels in two columns of about the same height, in their order."""
    heights = np.cumsum([_height([panel]) for panel in panels])
    split = int(np.argmin(np.maximum(heights, heights[-1] - heights))) + 1
    return panels[:split], panels[split:]


def _plain(text: str) -> str:
    """Without formulas."""
    return text.replace("$", r"\$")


def _height(panels: Sequence[tuple[str, DataFrame]]) -> float:
    return sum(HEAD + LINE * len(rows) for _, rows in panels)


def _panel(axes: Axes, name: str, rows: DataFrame, mean: float) -> None:
    places = np.arange(len(rows))
    means, low, high = (rows[column].to_numpy(float) for column in ("mean", "low", "high"))
    axes.axvline(mean, color=style.SMALL_PRINT, linewidth=0.8, linestyle=":")
    axes.errorbar(means, places, xerr=[means - low, high - means], fmt="o", color=style.WITH,
                  markersize=5, linewidth=1.5)  # fmt: skip
    for place, items, end in zip(places, rows["items"], np.fmax(means, high), strict=True):
        axes.annotate(f"{items:,}", (end, place), (5, 0), textcoords="offset points",
                      va="center", fontsize=7, color=style.SMALL_PRINT,
                      path_effects=style.HALO)  # fmt: skip
    names = [shown(str(group)) for group in rows["group"]]
    short = [one if len(one) <= LONGEST else f"{one[: LONGEST - 1]}…" for one in names]
    axes.set_yticks(places, short, fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(name, fontsize=9, loc="left", weight="bold")
    axes.tick_params(axis="x", labelsize=8)
    style.bare_bars(axes)
