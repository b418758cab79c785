"""How often each strategy clipped: the share of steps in every epoch, and in all of training.

A step counts where anything of it was clipped: one tensor of many, or for ALRC one loss of a batch.
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
from matplotlib.ticker import MaxNLocator, PercentFormatter

from autoclip_sep.figures import style
from autoclip_sep.figures.clipping_methods import (
    FAMILIES,
    NO_CLIPPING,
    Clipping,
    by_clipping,
    colour,
    colour_map,
)
from autoclip_sep.figures.comparable import OverSeeds, by_group, comparable, over_seeds
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.runs import RunFound, Series

THICKER = 3.2  # of the first line than of the last: lines on top of each other are all seen
LIGHTEST, DARKEST = 0.35, 0.85  # of a family's colour map; viridis is dark at its low end


@dataclass(frozen=True)
class Course:
    """One clipping. epoch, mean, least, most: (epochs,), shares over seeds; total: of all steps."""

    clipping: Clipping
    epoch: Series
    mean: Series
    least: Series
    most: Series
    total: OverSeeds


def share(run: RunFound) -> float:
    """Of all steps of a run, those that were clipped, in [0, 1]."""
    history = run.history
    steps = np.diff(history["step"], prepend=0)
    known = np.isfinite(history["clipped_share"]) & (steps > 0)
    if not known.any():
        return math.nan
    return float(np.average(history["clipped_share"][known], weights=steps[known]))


def courses(found: Sequence[RunFound]) -> list[Course]:
    """The numbers of the clippings of one task; without any is left out, as it never clips."""
    made = []
    for one, members in by_clipping(found).items():
        if one.family != NO_CLIPPING:
            shares = np.array([run.history["clipped_share"] for run in members.values()])
            epoch = next(iter(members.values())).history["epoch"]
            made.append(Course(one, epoch, shares.mean(axis=0), shares.min(axis=0),
                               shares.max(axis=0), over_seeds(members, share)))  # fmt: skip
    return made


def draw(found: Sequence[RunFound], stem: Path) -> list[Course]:
    """Draw the runs of one corpus, loss and model to <stem>.png and <stem>.pdf."""
    drawn = courses(found)
    colours = _colours([one.clipping for one in drawn])
    figure = Figure(figsize=(9.6, max(3.8, 0.27 * len(drawn) + 1.6)),
                    layout=ConstrainedLayoutEngine(wspace=0.06))  # fmt: skip
    course, totals = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for order, (one, own) in enumerate(zip(drawn, colours, strict=True)):
        width = 1.3 + THICKER * (len(drawn) - 1 - order) / len(drawn)
        course.plot(one.epoch, one.mean, color=own, linewidth=width)
        course.fill_between(one.epoch, one.least, one.most, color=own, alpha=0.12, linewidth=0)
    course.set(xlabel="Epoch", ylabel="of the steps of an epoch", title="Share clipped, by epoch",
               ylim=(-0.02, 1.02))  # fmt: skip
    course.xaxis.set_major_locator(MaxNLocator(integer=True))
    course.yaxis.set_major_formatter(PercentFormatter(1))
    style.bare(course)
    _totals(totals, drawn, colours)
    loss = found[0].group[1]
    figure.suptitle(f"How often each strategy clipped: {style.loss_name(loss)}", fontsize=12,
                    weight="bold")  # fmt: skip
    style.footer(figure, style.BETWEEN.join([
        *["Lines and bars: mean over seeds", "Shaded: all seeds"] * (len(_seeds(found)) > 1),
        "A step counts where anything of it was clipped", origin(found).line(),
    ]))  # fmt: skip
    style.save(figure, stem)
    return drawn


def _seeds(found: Sequence[RunFound]) -> set[int]:
    return {run.config["seed"] for run in found}


def _totals(axes: Axes, drawn: Sequence[Course], colours: Sequence[Series]) -> None:
    places = range(len(drawn))
    means = [one.total.mean for one in drawn]
    axes.barh(places, means, color=colours, height=0.66)
    axes.barh(places, 0.02, left=-0.04, color=colours, height=0.66)  # the curves' colours, of 0 too
    for place, mean in zip(places, means, strict=True):
        axes.text(mean + 0.02, place, f"{mean:.1%}", va="center", fontsize=8)
    axes.set(xlim=(-0.05, 1.2), xticks=(0, 0.5, 1), yticks=places, xlabel="of all steps",
             title="Share clipped, all of training")  # fmt: skip
    axes.set_yticklabels([one.clipping.name for one in drawn], fontsize=8.5)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    style.bare_bars(axes)


def _colours(clippings: Sequence[Clipping]) -> list[Series]:
    """A family's colour where it has one setting, shades of its map where it has several."""
    chosen = []
    for one in clippings:
        family = [other for other in clippings if other.family == one.family]
        if len(family) == 1:
            chosen.append(np.array(mpl.colors.to_rgba(colour(one.family))))
        else:
            low = 0.0 if one.family == FAMILIES["AutoClip"][0] else LIGHTEST
            depth = low + (DARKEST - low) * family.index(one) / (len(family) - 1)
            chosen.append(np.array(mpl.colormaps[colour_map(one.family)](depth)))
    return chosen


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """clipped_<corpus>_<loss>_<model> for each that has two clippings besides none."""
    kept, _ = comparable(found)
    lines = []
    for group, members in by_group(kept).items():
        if len([one for one in by_clipping(members) if one.family != NO_CLIPPING]) > 1:
            stem = output / "_".join(["clipped", *group])
            totals = [f"{one.clipping.name} {one.total.mean:.1%}" for one in draw(members, stem)]
            lines.append(f"{stem}.png  {'; '.join(totals)}")
    return lines or ["not drawn: how often each strategy clipped: no task has two clippings"]
