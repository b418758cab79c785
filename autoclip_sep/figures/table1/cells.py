"""Table 1 in numbers, the pattern they make, and the text of every cell."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from pandas import DataFrame, Series

from autoclip_sep.figures import footer, paper
from autoclip_sep.figures.over_seeds import as_text, by_seed, mean

CLIPPED, UNCLIPPED = 10, 100  # the percentiles whose gap is compared
WHOSE = ["paper", "here"]
STATIC, BEST, BEST_BY_SEED = "static threshold", "best p", "best p, by seed"
GAP, GAP_TO_PAPER = "p = 10 − p = 100", "gap here − paper's"


@dataclass(frozen=True)
class Table:
    """Evaluated runs of one corpus and model, at least one of a loss of the paper's."""

    runs: DataFrame

    @cached_property
    def scores(self) -> dict[str, DataFrame]:
        """SI-SDR in dB by loss, all of the paper's in its order: a row for each seed, a column for
        each percentile that was run."""
        return {loss: by_seed(self.of(loss), "percentile", "si_sdr") for loss in paper.TABLE_1}

    def of(self, loss: str) -> DataFrame:
        """The runs of one loss."""
        return self.runs[self.runs["loss"] == loss]

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Where our numbers come from."""
        return footer.provenance(self.runs)

    @cached_property
    def percentiles(self) -> list[float]:
        """The paper's, and any other that was run."""
        return sorted({*paper.PERCENTILES, *self.runs["percentile"]})

    def differs(self) -> list[str]:
        """What is not as in the paper."""
        lengths = {footer.iterations(self.of(loss)) for loss in self.runs["loss"]}
        same = {
            "corpus": self.provenance["corpus"] == paper.CORPUS,
            "network": self.provenance["network"] == paper.NETWORK,
            "number of iterations": lengths == {f"{paper.ITERATIONS:,}"},
        }
        return [what for what, is_same in same.items() if not is_same]

    def in_short(self) -> str:
        """The gaps in a line."""
        gaps = {loss: mean(gap(scores)) for loss, scores in self.scores.items()}
        known = [f"{loss} {value:+.2f}" for loss, value in gaps.items() if math.isfinite(value)]
        return "p = 10 minus p = 100 [dB]: " + (", ".join(known) or "no loss has both")


def best(scores: DataFrame) -> float | None:
    """The percentile of the highest mean, the lower one of two; None for fewer than two."""
    means = scores.agg(mean).dropna()
    return float(means.index.to_numpy()[means.argmax()]) if len(means) > 1 else None


def best_of_each_seed(scores: DataFrame) -> Series:
    """By seed, of those that ran every percentile that any ran."""
    return scores.dropna().idxmax(axis=1) if len(scores.columns) > 1 else Series(dtype=float)


def gap(scores: DataFrame) -> Series:
    """p = 10 minus p = 100 of the same seed, NaN where not both were run."""
    both = scores.reindex(columns=[CLIPPED, UNCLIPPED])
    return both[CLIPPED] - both[UNCLIPPED]


def paper_best(loss: str) -> list[float]:
    """The percentiles with the paper's highest number; it gives one decimal, so there are ties."""
    column = paper.TABLE_1[loss]
    return [percentile for percentile, value in column.items() if value == max(column.values())]


def paper_gap(loss: str) -> float:
    """The paper's p = 10 minus p = 100, in dB."""
    return round(paper.TABLE_1[loss][CLIPPED] - paper.TABLE_1[loss][UNCLIPPED], 1)


def notes(table: Table) -> list[str]:
    """What must be known to read the table, in sentences."""
    corpus, differs = table.provenance["corpus"], table.differs()
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
        "corpus": (paper.CORPUS_TITLE, table.provenance["corpus"] * there),
        "network": (paper.NETWORK, table.provenance["network"] * there),
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
