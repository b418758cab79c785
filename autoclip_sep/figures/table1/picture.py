"""Table 1 as a picture: the paper's and ours side by side, coloured by dB over no clipping."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from autoclip_sep.figures import paper, style
from autoclip_sep.figures.comparable import with_spread
from autoclip_sep.figures.runs import STAND_INS, Series
from autoclip_sep.figures.table1.columns import UNCLIPPED, Table, paper_best, paper_gap
from autoclip_sep.figures.table1.rows import best_text, notes, percentile_label

COLOURS = LinearSegmentedColormap.from_list("gain", ["#D9707F", "#FFFFFF", "#3F93A2"])
UNKNOWN = "#EDEFF1"  # behind a cell of a column without p = 100
LEAST_RANGE = 0.5  # dB at which the colours end, at least


@dataclass(frozen=True)
class Half:
    """The paper's half or ours.

    gains: (percentiles, losses), dB over p = 100, NaN where unknown. texts: the same as text, empty
    where nothing was run. best: in each column the rows to be marked. pattern: two texts a column.
    """

    gains: Series
    texts: list[list[str]]
    best: list[list[int]]
    pattern: list[tuple[str, str]]


def halves(table: Table) -> tuple[Half, Half]:
    """What is drawn: the paper's, then ours."""
    rows, columns = table.percentiles, list(table.columns.values())
    scores = np.array([[paper.TABLE_1[one.loss].get(p, math.nan) for one in columns] for p in rows])
    ours = np.array([[one.cell(p).mean for one in columns] for p in rows])
    unclipped = rows.index(UNCLIPPED)
    theirs = Half(
        scores - scores[unclipped],
        [[f"{value:.1f}" if math.isfinite(value) else "" for value in row] for row in scores],
        [[rows.index(p) for p in paper_best(one.loss)] for one in columns],
        [(", ".join(f"{p:g}" for p in paper_best(one.loss)), _signed(paper_gap(one.loss)))
         for one in columns],
    )  # fmt: skip
    here = Half(
        ours - ours[unclipped],
        [[with_spread(one.cell(p)) for one in columns] for p in rows],
        [[] if one.best is None else [rows.index(one.best)] for one in columns],
        [(best_text(one), with_spread(one.gap, "+")) for one in columns],
    )
    return theirs, here


def draw(table: Table, stem: Path) -> tuple[Half, Half]:
    """Draw to <stem>.png and return what was drawn."""
    both = halves(table)
    gains = np.concatenate([half.gains.ravel() for half in both])
    most = max(LEAST_RANGE, float(np.nanmax(np.abs(gains))))
    figure = Figure(figsize=(12.6, 0.36 * len(table.percentiles) + 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.45))
    origin = table.origin
    stand_in = f", {STAND_INS[origin.corpus]}" if origin.corpus in STAND_INS else ""
    network = f"{origin.network} BLSTM" if "×" in origin.network else origin.network
    ran = sorted({column.iterations for column in table.columns.values()} - {""})
    _half(left, table, both[0], most, (
        f"Paper: {paper.CORPUS_TITLE}",
        f"{paper.NETWORK} BLSTM, {paper.ITERATIONS:,} iterations, one seed",
    ))  # fmt: skip
    _half(right, table, both[1], most, (
        f"Here: {origin.corpus}{stand_in}",
        f"{network}, {' / '.join(ran)} iterations, {origin.seeds}",
    ))  # fmt: skip
    right.set_yticks([])
    colours = figure.colorbar(right.collections[0], ax=right, pad=0.02, aspect=28)
    colours.set_label("dB over p = 100 in the same column", fontsize=8)
    colours.outline.set_visible(False)
    colours.ax.tick_params(labelsize=8, length=0)
    figure.suptitle("SI-SDR [dB] by loss and percentile", fontsize=13, weight="bold")
    style.footer(figure, style.BETWEEN.join([*notes(table), origin.line()]))
    style.save(figure, stem, (".png",))
    return both


def _half(axes: Axes, table: Table, half: Half, most: float, titles: tuple[str, str]) -> None:
    count, losses = half.gains.shape
    empty = np.array([[not text for text in row] for row in half.texts])
    axes.set_facecolor(UNKNOWN)
    axes.pcolormesh(np.arange(losses + 1), np.arange(count + 1), half.gains,
                    cmap=COLOURS, norm=Normalize(-most, most), edgecolors="white",
                    linewidth=1.5)  # fmt: skip
    for row, column in np.argwhere(empty):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor="white", edgecolor="#E3E6E9",
                                 hatch="///", linewidth=0))  # fmt: skip
    for row, texts in enumerate(half.texts):
        for column, text in enumerate(texts):
            best = row in half.best[column]
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9,
                      weight="bold" if best else "normal")  # fmt: skip
    axes.add_patch(Rectangle((0, count), losses, 3, facecolor="white"))
    axes.plot((0, losses), (count + 0.2, count + 0.2), color="#B4BAC0", linewidth=0.8)
    for column, (best_p, gap) in enumerate(half.pattern):
        axes.text(column + 0.5, count + 0.8, best_p, ha="center", va="center", fontsize=9)
        axes.text(column + 0.5, count + 1.7, gap, ha="center", va="center", fontsize=9)
    labels = [percentile_label(p) for p in table.percentiles]
    axes.set(xlim=(0, losses), ylim=(count + 2.2, 0), xticks=np.arange(losses) + 0.5,
             yticks=[*np.arange(count) + 0.5, count + 0.8, count + 1.7])  # fmt: skip
    axes.set_xticklabels([style.LOSSES[loss][1] for loss in table.columns], fontsize=11)
    axes.set_yticklabels([*labels, "best p", "p = 10 − p = 100"], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(titles[0], fontsize=10, weight="bold", pad=40)
    axes.annotate(titles[1], (0.5, 1), xytext=(0, 27), xycoords="axes fraction", ha="center",
                  textcoords="offset points", fontsize=8.5, color=style.SMALL_PRINT)  # fmt: skip


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
