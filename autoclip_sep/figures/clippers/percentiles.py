"""Losses and SI-SDR against the percentile, a row for each loss.

Training and validation loss, SI-SDR, and what clipping gains over none, ours beside the paper's
(its Table 1). Percentiles stand at equal distances: most of what they change lies below 25.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from pandas import DataFrame

from autoclip_sep.figures import footer, paper, style
from autoclip_sep.figures.over_seeds import by_seed, mean, sd
from autoclip_sep.figures.runs import TASK, comparable, grouped

UNCLIPPED = 100.0
PAPERS = "#6B7178"
TITLES = {
    "train_loss": "Training loss, last epoch",
    "valid_loss": "Lowest validation loss",
    "si_sdr": "SI-SDR [dB]",
    "gain": "SI-SDR over no clipping [dB]",
}


def numbers(runs: DataFrame) -> dict[str, DataFrame]:
    """By the keys of TITLES, of the runs of one loss: a row for each seed, a column for each p.

    Losses are in the loss' own unit, si_sdr is in dB, gain in dB over p = 100 of the same seed.
    """
    found = {name: by_seed(runs, "percentile", name) for name in TITLES if name != "gain"}
    si_sdr = found["si_sdr"]
    unclipped = si_sdr.reindex(columns=[UNCLIPPED])[UNCLIPPED]
    return {**found, "gain": si_sdr.sub(unclipped, axis=0)}


def draw(runs: DataFrame, stem: Path) -> dict[str, dict[str, DataFrame]]:
    """Draw the runs of one corpus and model to <stem>.png and <stem>.pdf; the numbers by loss."""
    losses = [*paper.TABLE_1, *sorted(set(runs["loss"]) - set(paper.TABLE_1))]
    rows = {loss: numbers(same) for loss in losses if len(same := runs[runs["loss"] == loss])}
    percentiles = sorted({*runs["percentile"], *paper.PERCENTILES})
    places = {percentile: n for n, percentile in enumerate(percentiles)}
    figure = Figure(figsize=(11.5, 2.15 * len(rows) + 1.2),
                    layout=ConstrainedLayoutEngine(wspace=0.07))  # fmt: skip
    grid = figure.subplots(len(rows), len(TITLES), squeeze=False)
    for axes, (loss, row) in zip(grid, rows.items(), strict=True):
        _row(axes, loss, row, places)
    for axes, title in zip(grid[0], TITLES.values(), strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("p, percentile of the norms", fontsize=9)
    several = any((row["train_loss"].count() > 1).any() for row in rows.values())
    style.finish(figure, "What the percentile does", [
        *["Bars: ± standard deviation over seeds", "Small dots: seeds"] * several,
        f"Paper: Table 1, {paper.CORPUS_TITLE}, {paper.NETWORK}", footer.line(runs),
    ], stem)  # fmt: skip
    return rows


def _row(
    grid: Sequence[Axes], loss: str, row: Mapping[str, DataFrame], places: Mapping[float, int]
) -> None:
    for axes, name in zip(grid, TITLES, strict=True):
        _curve(axes, row[name], places)
        axes.set(xlim=(-0.4, len(places) - 0.6), xticks=range(len(places)))
        axes.set_xticklabels([f"{percentile:g}" for percentile in places], fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-2, 4))
        axes.yaxis.get_offset_text().set_fontsize(8)
        style.bare(axes)
    gains = grid[-1]
    gains.axhline(0, color=style.WITHOUT, linewidth=1, zorder=1)
    if theirs := paper.TABLE_1.get(loss):
        gains.plot([places[p] for p in theirs], [dB - theirs[100] for dB in theirs.values()],
                   color=PAPERS, linewidth=1.2, linestyle="--", marker="s", markersize=3.5,
                   zorder=2, label="paper")  # fmt: skip
        gains.plot([], [], color=style.WITH, linewidth=1.4, marker="o", markersize=5,
                   label="here")  # fmt: skip
        gains.legend(frameon=False, fontsize=8)
    grid[0].set_ylabel(style.loss_name(loss), fontsize=9)


def _curve(axes: Axes, values: DataFrame, places: Mapping[float, int]) -> None:
    """Mean and spread; the single seeds as faint dots; no clipping in its own colour.

    values: a row for each seed, a column for each percentile.
    """
    known = values.dropna(axis=1, how="all")
    means = known.agg(mean).reindex(sorted({*known, *paper.PERCENTILES}))
    axes.plot([places[p] for p in means.index], means, color=style.WITH, linewidth=1.4,
              zorder=3)  # fmt: skip  # broken where one wasn't run
    for percentile in map(float, known.columns):
        own, place = known[percentile].dropna(), places[percentile]
        colour = style.WITHOUT if percentile == UNCLIPPED else style.WITH
        spread = sd(own) if len(own) > 1 else 0
        axes.errorbar(place, mean(own), spread, color=colour, marker="o", markersize=5,
                      capsize=2.5, linewidth=1.2, zorder=4)  # fmt: skip
        if len(own) > 1:
            axes.plot([place + 0.18] * len(own), own, ".", color=colour, alpha=0.6, markersize=5,
                      markeredgewidth=0)  # fmt: skip


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """percentiles_<corpus>_<model> for each corpus and model with three percentiles of one loss.

    Two make no curve: Table 1 shows more of them. Runs that can't be compared are left out, as
    table1.draw_all reports.
    """
    kept, _ = comparable(runs)
    tried = kept.groupby([*TASK, "loss"])["percentile"].transform("nunique")
    lines = []
    enough = kept[kept["percentile"].notna() & (tried > 2)]
    for task, members in grouped(enough, TASK).items():
        stem = output / "_".join(["percentiles", *task])
        best = [f"{loss} {_best(row['si_sdr'])}" for loss, row in draw(members, stem).items()]
        lines.append(f"{stem}.png  {', '.join(best)}")
    return lines or ["not drawn: what the percentile does: no loss has runs of three percentiles"]


def _best(si_sdr: DataFrame) -> str:
    known = si_sdr.agg(mean).dropna()
    return "not evaluated" if known.empty else f"best at p = {known.idxmax():g}"
