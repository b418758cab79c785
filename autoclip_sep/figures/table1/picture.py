"""Table 1 as a picture: the paper's and ours side by side, coloured by dB over no clipping."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pandas import DataFrame

from autoclip_sep.figures import footer, paper, style
from autoclip_sep.figures.over_seeds import mean
from autoclip_sep.figures.table1.cells import (
    BEST,
    GAP,
    UNCLIPPED,
    WHOSE,
    Table,
    cells,
    marked,
    notes,
    percentile_label,
)

COLOURS = LinearSegmentedColormap.from_list("gain", ["#D9707F", "#FFFFFF", "#3F93A2"])
HATCHED: dict[str, Any] = {
    "facecolor": "white",
    "edgecolor": "#E3E6E9",
    "hatch": "///",
    "linewidth": 0,
}
UNKNOWN = "#EDEFF1"  # behind a cell of a column without p = 100
LEAST_RANGE = 0.5  # dB at which the colours end, at least


def draw(table: Table, stem: Path) -> None:
    """Draw to <stem>.png."""
    texts, marks = cells(table), marked(table)
    theirs, ours = (over_no_clipping(table, whose) for whose in WHOSE)
    most = max(LEAST_RANGE, np.nanmax(np.abs([theirs, ours])))
    figure = Figure(figsize=(12.6, 0.36 * len(table.percentiles) + 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.45))
    corpus, network = table.provenance["corpus"], table.provenance["network"]
    stand_in = f", {footer.STAND_INS[corpus]}" if corpus in footer.STAND_INS else ""
    ran = sorted({footer.iterations(table.of(loss)) for loss in table.runs["loss"]})
    titles = {
        "paper": (f"Paper: {paper.CORPUS_TITLE}",
                  f"{paper.NETWORK} BLSTM, {paper.ITERATIONS:,} iterations, one seed"),
        "here": (f"Here: {corpus}{stand_in}",
                 f"{network}{' BLSTM' * ('×' in network)}, {' / '.join(ran)} iterations, "
                 f"{footer.seeds(table.runs)}"),
    }  # fmt: skip
    for axes, whose, gains in ((left, "paper", theirs), (right, "here", ours)):
        own = [(loss, whose) for loss in gains]
        _half(axes, gains, texts[own], marks[own], most, titles[whose])
    right.set_yticks([])
    colours = figure.colorbar(right.collections[0], ax=right, pad=0.02, aspect=28)
    colours.set_label("dB over p = 100 in the same column", fontsize=8)
    colours.outline.set_visible(False)
    colours.ax.tick_params(labelsize=8, length=0)
    figure.suptitle("SI-SDR [dB] by loss and percentile", fontsize=13, weight="bold")
    style.footer(figure, style.BETWEEN.join([*notes(table), footer.line(table.runs)]))
    style.save(figure, stem, (".png",))


def over_no_clipping(table: Table, whose: str) -> DataFrame:
    """dB over p = 100, a row for each percentile, a column for each loss; NaN where unknown."""
    means = {loss: scores.agg(mean) for loss, scores in table.scores.items()}
    scores = DataFrame(paper.TABLE_1 if whose == "paper" else means, index=table.percentiles)
    return scores - scores.loc[UNCLIPPED]


def _half(
    axes: Axes, gains: DataFrame, texts: DataFrame, marks: DataFrame, most: float,
    titles: tuple[str, str],
) -> None:  # fmt: skip
    count, losses = gains.shape
    axes.set_facecolor(UNKNOWN)
    axes.pcolormesh(np.arange(losses + 1), np.arange(count + 1), gains,
                    cmap=COLOURS, norm=Normalize(-most, most), edgecolors="white",
                    linewidth=1.5)  # fmt: skip
    labels = [percentile_label(p) for p in gains.index]
    for row, label in enumerate(labels):
        for column, text in enumerate(texts.loc[label]):
            if not text:
                axes.add_patch(Rectangle((column, row), 1, 1, **HATCHED))
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9,
                      weight="bold" if marks.loc[label].iloc[column] else "normal")  # fmt: skip
    axes.add_patch(Rectangle((0, count), losses, 3, facecolor="white"))
    axes.plot((0, losses), (count + 0.2, count + 0.2), color="#B4BAC0", linewidth=0.8)
    for label, height in ((BEST, count + 0.8), (GAP, count + 1.7)):
        for column, text in enumerate(texts.loc[label]):
            axes.text(column + 0.5, height, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, losses), ylim=(count + 2.2, 0), xticks=np.arange(losses) + 0.5,
             yticks=[*np.arange(count) + 0.5, count + 0.8, count + 1.7])  # fmt: skip
    axes.set_xticklabels([style.LOSSES[loss][1] for loss in paper.TABLE_1], fontsize=11)
    axes.set_yticklabels([*labels, BEST, GAP], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(titles[0], fontsize=10, weight="bold", pad=40)
    axes.annotate(titles[1], (0.5, 1), xytext=(0, 27), xycoords="axes fraction", ha="center",
                  textcoords="offset points", fontsize=8.5, color=style.SMALL_PRINT)  # fmt: skip
