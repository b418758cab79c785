"""Table 1 as texts, for Markdown, LaTeX and the picture, and what must be known to read it."""

from collections.abc import Iterable

import pandas as pd
from pandas import DataFrame, Series

from autoclip_sep.figures import footer, paper
from autoclip_sep.figures.over_seeds import as_text
from autoclip_sep.figures.table1.numbers import (
    Table,
    best,
    best_of_each_seed,
    gap,
    paper_best,
    paper_gap,
)

WHOSE = ["paper", "here"]
STATIC, BEST, BEST_BY_SEED = "static threshold", "best p", "best p, by seed"
GAP, GAP_TO_PAPER = "p = 10 − p = 100", "gap here − paper's"


def notes(table: Table) -> list[str]:
    """What must be known to read the table, in sentences."""
    corpus, differs = table.came["corpus"], table.differs()
    sentences = [
        "SI-SDR in dB on the test set, mean ± standard deviation over seeds",
        "A cell that wasn't run is empty",
    ]
    if corpus in footer.STAND_INS:
        sentences.append(f"The corpus here, {corpus}, is {footer.STAND_INS[corpus]}")
    if differs:
        what = " and ".join(filter(None, [", ".join(differs[:-1]), differs[-1]]))
        sentences.append(
            f"Not as in the paper: {what}; so compare the pattern (best p, and p = 10 minus "
            "p = 100), not the dB"
        )
    return sentences


def cells(table: Table) -> DataFrame:
    """The table below its header: a row for each label, columns (loss, paper or here)."""
    return pd.concat({loss: _column(table, loss) for loss in paper.TABLE_1}, axis=1)


def _column(table: Table, loss: str) -> DataFrame:
    theirs, scores = paper.TABLE_1[loss], table.scores[loss]
    there = not scores.empty
    counts = sorted(set(scores.count()))
    difference, static = gap(scores), paper.STATIC_THRESHOLDS.get(loss)
    rows = {
        "corpus": (paper.CORPUS_TITLE, table.came["corpus"] * there),
        "network": (paper.NETWORK, table.came["network"] * there),
        "iterations": (f"{paper.ITERATIONS:,}", footer.iterations(table.of(loss))),
        "seeds": (str(paper.SEEDS), " to ".join(map(str, dict.fromkeys(counts[:1] + counts[-1:])))),
        **{
            percentile_label(p): (_decimal(theirs.get(p)), as_text(scores.get(p, Series())))
            for p in table.percentiles
        },
        STATIC: (_decimal(static), ""),
        BEST: (_listed(paper_best(loss)), best_text(scores)),
        BEST_BY_SEED: ("", _listed(best_of_each_seed(scores))),
        GAP: (f"{paper_gap(loss):+.1f}", as_text(difference, "+")),
        GAP_TO_PAPER: ("", as_text(difference - paper_gap(loss), "+")),
    }
    return DataFrame.from_dict(rows, orient="index", columns=WHOSE)


def marked(table: Table) -> DataFrame:
    """Which cells hold the best of their column, in the shape of `cells`."""
    texts = cells(table)
    marks = DataFrame(False, texts.index, texts.columns)
    for loss, scores in table.scores.items():
        marks.loc[[*map(percentile_label, paper_best(loss))], (loss, "paper")] = True
        if (percentile := best(scores)) is not None:
            marks.loc[percentile_label(percentile), (loss, "here")] = True
    return marks


def percentile_label(percentile: float) -> str:
    """p as the first cell of a row."""
    return f"{percentile:g}" + {0.0: " (minimum)", 100.0: " (no clipping)"}.get(percentile, "")


def best_text(scores: DataFrame) -> str:
    """The best p, and of how many where not all of the paper's were run."""
    percentile = best(scores)
    if percentile is None:
        return ""
    tried = "" if {*paper.PERCENTILES} <= {*scores} else f" (of {len(scores.columns)})"
    return f"{percentile:g}{tried}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _listed(percentiles: Iterable[float]) -> str:
    return ", ".join(f"{percentile:g}" for percentile in percentiles)
