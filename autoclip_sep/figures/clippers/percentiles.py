"""Losses and SI-SDR against the percentile, a row for each loss.

Training and validation loss, SI-SDR, and what clipping gains over none, ours beside the paper's
(its Table 1). Percentiles stand at equal distances: most of what they change lies below 25.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from autoclip_sep.figures import paper, style
from autoclip_sep.figures.comparable import (
    OverSeeds,
    by_loss,
    by_percentile,
    by_task,
    comparable,
    over_percentiles,
)
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.runs import RunFound

UNCLIPPED = 100
PAPERS = "#6B7178"

Curve = Mapping[float, OverSeeds]  # by percentile; without values where there is nothing


@dataclass(frozen=True)
class Row:
    """One loss.

    train: the mean over the last epoch. valid: the lowest, as it chooses the weights that are
    scored. Both in the loss' own unit. si_sdr: dB. gain: dB over p = 100 of the same seed.
    """

    loss: str
    train: Curve
    valid: Curve
    si_sdr: Curve
    gain: Curve
    papers_gain: Mapping[float, float]


def row(loss: str, found: Sequence[RunFound]) -> Row:
    """The numbers of the runs of one loss that are of the paper's AutoClip or without clipping."""
    si_sdr = over_percentiles(found, lambda run: run.score().get("si_sdr_mean", math.nan))
    unclipped = si_sdr.get(UNCLIPPED, OverSeeds({}))
    theirs = paper.TABLE_1.get(loss, {})
    return Row(
        loss,
        over_percentiles(found, lambda run: run.history["train_loss"][-1]),
        over_percentiles(found, lambda run: run.history["valid_loss"].min()),
        si_sdr,
        {percentile: values.minus(unclipped) for percentile, values in si_sdr.items()},
        {percentile: value - theirs[UNCLIPPED] for percentile, value in theirs.items()},
    )


def draw(found: Sequence[RunFound], stem: Path) -> list[Row]:
    """Draw the runs of one corpus and model to <stem>.png and <stem>.pdf; return the numbers."""
    losses = by_loss(found)
    order = [*paper.TABLE_1, *sorted(losses.keys() - paper.TABLE_1.keys())]
    rows = [row(loss, losses[loss]) for loss in order if loss in losses]
    ran = {percentile for one in rows for percentile in one.train}
    places = {percentile: n for n, percentile in enumerate(sorted(ran | set(paper.PERCENTILES)))}
    figure = Figure(figsize=(11.5, 2.15 * len(rows) + 1.2),
                    layout=ConstrainedLayoutEngine(wspace=0.07))  # fmt: skip
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for axes, one in zip(grid, rows, strict=True):
        _row(axes, one, places)
    titles = ("Training loss, last epoch", "Lowest validation loss", "SI-SDR [dB]",
              "SI-SDR over no clipping [dB]")  # fmt: skip
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("p, percentile of the norms", fontsize=9)
    figure.suptitle("What the percentile does", fontsize=13, weight="bold")
    several = any(len(values.values) > 1 for one in rows for values in one.train.values())
    style.footer(figure, style.BETWEEN.join([
        *["Bars: ± standard deviation over seeds", "Small dots: seeds"] * several,
        f"Paper: Table 1, {paper.CORPUS_TITLE}, {paper.NETWORK}", origin(found).line(),
    ]))  # fmt: skip
    style.save(figure, stem)
    return rows


def _row(grid: Sequence[Axes], one: Row, places: Mapping[float, int]) -> None:
    for axes, curve in zip(grid, (one.train, one.valid, one.si_sdr, one.gain), strict=True):
        _curve(axes, curve, places)
        axes.set(xlim=(-0.4, len(places) - 0.6), xticks=range(len(places)))
        axes.set_xticklabels([f"{percentile:g}" for percentile in places], fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-2, 4))
        axes.yaxis.get_offset_text().set_fontsize(8)
        style.bare(axes)
    gains = grid[-1]
    gains.axhline(0, color=style.WITHOUT, linewidth=1, zorder=1)
    if one.papers_gain:
        gains.plot([places[p] for p in one.papers_gain], list(one.papers_gain.values()),
                   color=PAPERS, linewidth=1.2, linestyle="--", marker="s", markersize=3.5,
                   zorder=2, label="paper")  # fmt: skip
        gains.plot([], [], color=style.WITH, linewidth=1.4, marker="o", markersize=5,
                   label="here")  # fmt: skip
        gains.legend(frameon=False, fontsize=8)
    grid[0].set_ylabel(style.loss_name(one.loss), fontsize=9)


def _curve(axes: Axes, curve: Curve, places: Mapping[float, int]) -> None:
    """Mean and spread; the single seeds as faint dots; no clipping in its own colour."""
    known = {percentile: values for percentile, values in curve.items() if values.values}
    line = sorted(known | dict.fromkeys(paper.PERCENTILES))  # broken where one wasn't run
    axes.plot([places[p] for p in line],
              [known[p].mean if p in known else math.nan for p in line],
              color=style.WITH, linewidth=1.4, zorder=3)  # fmt: skip
    for percentile, values in known.items():
        colour = style.WITHOUT if percentile == UNCLIPPED else style.WITH
        place = places[percentile]
        spread = values.spread if math.isfinite(values.spread) else 0
        axes.errorbar(place, values.mean, spread, color=colour, marker="o", markersize=5,
                      capsize=2.5, linewidth=1.2, zorder=4)  # fmt: skip
        if len(values.values) > 1:
            axes.plot([place + 0.18] * len(values.values), list(values.values.values()), ".",
                      color=colour, alpha=0.6, markersize=5, markeredgewidth=0)  # fmt: skip


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """percentiles_<corpus>_<model> for each corpus and model with three percentiles of one loss.

    Two make no curve: Table 1 says more of them.

    Runs that can't be compared are left out, as table1.draw_all tells.
    """
    kept, _ = comparable(found)
    lines = []
    for task, runs in by_task(run for run in kept if math.isfinite(run.percentile)).items():
        losses = by_loss(runs).items()
        enough = [run for _, runs in losses if len(by_percentile(runs)) > 2 for run in runs]
        if enough:
            stem = output / "_".join(["percentiles", *task])
            rows = draw(enough, stem)
            lines.append(f"{stem}.png  {', '.join(map(_in_short, rows))}")
    return lines or ["not drawn: what the percentile does: no loss has runs of three percentiles"]


def _in_short(one: Row) -> str:
    known = [percentile for percentile, values in one.si_sdr.items() if values.values]
    if not known:
        return f"{one.loss} not evaluated"
    best = max(known, key=lambda percentile: one.si_sdr[percentile].mean)
    return f"{one.loss} best at p = {best:g}"
