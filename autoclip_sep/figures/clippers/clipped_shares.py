"""How often each strategy clipped: the share of steps in every epoch, and in all of training.

A step counts where anything of it was clipped: one tensor of many, or for ALRC one loss of a batch.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from pandas import DataFrame, Series

from autoclip_sep.figures import footer, style
from autoclip_sep.figures.clipping_methods import FAMILIES, NO_CLIPPING, colour, colour_map
from autoclip_sep.figures.over_seeds import by_seed, mean
from autoclip_sep.figures.runs import GROUP, comparable, grouped

Colour = tuple[float, float, float, float]  # red, green, blue, alpha

THICKER = 3.2  # of the first line than of the last: lines on top of each other are all seen
LIGHTEST, DARKEST = 0.35, 0.85  # of a family's colour map; viridis is dark at its low end


def shares_by_epoch(runs: DataFrame) -> DataFrame:
    """Mean, min and max over seeds of the share clipped, by strategy and epoch."""
    once = runs.drop_duplicates(["strategy", "seed"])
    histories = [
        DataFrame({
            "strategy": strategy,
            "epoch": run.history["epoch"],
            "share": run.history["clipped_share"],
        })
        for strategy, run in zip(once["strategy"], once["run"], strict=True)
    ]  # fmt: skip
    return pd.concat(histories).groupby(["strategy", "epoch"])["share"].agg(["mean", "min", "max"])


def shares(runs: DataFrame) -> Series:
    """The mean over seeds of the share of all steps, by strategy."""
    return by_seed(runs, "strategy", "clipped_share").agg(mean)


def draw(runs: DataFrame, stem: Path) -> Series:
    """Draw the runs of one corpus, loss and model to <stem>.png and <stem>.pdf.

    Returns the share of all steps by strategy. Without any is left out, as it never clips.
    """
    clipped = runs[runs["family"] != NO_CLIPPING]
    totals, epochs = shares(clipped), shares_by_epoch(clipped)
    colours = _colours(clipped.groupby("strategy", observed=True)["family"].first())
    figure = Figure(figsize=(9.6, max(3.8, 0.27 * len(totals) + 1.6)),
                    layout=ConstrainedLayoutEngine(wspace=0.06))  # fmt: skip
    curves, bars = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for order, (strategy, own) in enumerate(zip(totals.index, colours, strict=True)):
        width = 1.3 + THICKER * (len(totals) - 1 - order) / len(totals)
        curve = epochs.loc[strategy]
        curves.plot(curve.index, curve["mean"], color=own, linewidth=width)
        curves.fill_between(curve.index, curve["min"], curve["max"], color=own, alpha=0.12,
                            linewidth=0)  # fmt: skip
    curves.set(xlabel="Epoch", ylabel="of the steps of an epoch", title="Share clipped, by epoch",
               ylim=(-0.02, 1.02))  # fmt: skip
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    curves.yaxis.set_major_formatter(PercentFormatter(1))
    style.bare(curves)
    _totals(bars, totals, colours)
    loss = style.loss_name(runs["loss"].iloc[0])
    style.finish(figure, f"How often each strategy clipped: {loss}", [
        *["Lines and bars: mean over seeds", "Shaded: all seeds"] * (runs["seed"].nunique() > 1),
        "A step counts where anything of it was clipped", footer.line(runs),
    ], stem, 12)  # fmt: skip
    return totals


def _totals(axes: Axes, totals: Series, colours: Sequence[Colour]) -> None:
    places = range(len(totals))
    axes.barh(places, totals, color=colours, height=0.66)
    axes.barh(places, 0.02, left=-0.04, color=colours, height=0.66)  # the curves' colours, of 0 too
    for place, total in zip(places, totals, strict=True):
        axes.text(total + 0.02, place, f"{total:.1%}", va="center", fontsize=8)
    axes.set(xlim=(-0.05, 1.2), xticks=(0, 0.5, 1), yticks=places, xlabel="of all steps",
             title="Share clipped, all of training")  # fmt: skip
    axes.set_yticklabels(totals.index, fontsize=8.5)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    style.bare_bars(axes)


def _colours(families: Series) -> list[Colour]:
    """A family's colour where it has one setting, shades of its map where it has several."""
    chosen = []
    places, counts = families.groupby(families).cumcount(), families.value_counts()
    for family, place in zip(families, places, strict=True):
        if counts[family] == 1:
            chosen.append(mpl.colors.to_rgba(colour(family)))
        else:
            low = 0.0 if family == FAMILIES["AutoClip"][0] else LIGHTEST
            depth = low + (DARKEST - low) * place / (counts[family] - 1)
            chosen.append(mpl.colormaps[colour_map(family)](depth))
    return chosen


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """clipped_<corpus>_<loss>_<model> for each that has two clippings besides none."""
    kept, _ = comparable(runs)
    lines = []
    for group, members in grouped(kept, GROUP).items():
        if members.loc[members["family"] != NO_CLIPPING, "strategy"].nunique() > 1:
            stem = output / "_".join(["clipped", *group])
            totals = [f"{strategy} {total:.1%}" for strategy, total in draw(members, stem).items()]
            lines.append(f"{stem}.png  {'; '.join(totals)}")
    return lines or ["not drawn: how often each strategy clipped: no task has two clippings"]
