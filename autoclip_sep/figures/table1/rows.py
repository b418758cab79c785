"""Table 1 as rows of text, for Markdown and LaTeX, and what must be known to read it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from autoclip_sep.figures import paper
from autoclip_sep.figures.comparable import with_spread
from autoclip_sep.figures.runs import STAND_INS
from autoclip_sep.figures.table1.columns import Column, Table, paper_best, paper_gap

Value = TypeVar("Value")


@dataclass(frozen=True)
class Row:
    """A label, and for each loss the paper's cell and ours.

    bold: the best of a column. first: of a block of rows.
    """

    label: str
    cells: Sequence[str]
    bold: Sequence[bool] = ()
    first: bool = False


def notes(table: Table) -> list[str]:
    """What must be known to read the table, in sentences."""
    corpus, differs = table.origin.corpus, table.differs()
    sentences = [
        "SI-SDR in dB on the test set, mean ± standard deviation over seeds",
        "A cell that wasn't run is empty",
    ]
    if corpus in STAND_INS:
        sentences.append(f"The corpus here, {corpus}, is {STAND_INS[corpus]}")
    if differs:
        what = " and ".join(filter(None, [", ".join(differs[:-1]), differs[-1]]))
        sentences.append(
            f"Not as in the paper: {what}; so compare the pattern (best p, and p = 10 minus "
            "p = 100), not the dB"
        )
    return sentences


def rows(table: Table) -> list[Row]:
    """The table below its header, for Markdown and LaTeX."""
    columns = list(table.columns.values())
    ran = [bool(column.cells) for column in columns]
    about = [
        ("corpus", paper.CORPUS_TITLE, [table.origin.corpus] * len(columns)),
        ("network", paper.NETWORK, [table.origin.network] * len(columns)),
        ("iterations", f"{paper.ITERATIONS:,}", [column.iterations for column in columns]),
        ("seeds", str(paper.SEEDS), [_counts(column) for column in columns]),
    ]
    told = [
        Row(label, _zip([theirs] * len(columns),
                        [text * there for text, there in zip(ours, ran, strict=True)]))
        for label, theirs, ours in about
    ]  # fmt: skip
    return [*told, *_scores(table, columns), *_pattern(columns)]


def _scores(table: Table, columns: Sequence[Column]) -> list[Row]:
    made = []
    for percentile in table.percentiles:
        theirs = [paper.TABLE_1[column.loss].get(percentile) for column in columns]
        made.append(Row(
            percentile_label(percentile),
            _zip([f"{value:.1f}" if value is not None else "" for value in theirs],
                 [with_spread(column.cell(percentile)) for column in columns]),
            _zip([percentile in paper_best(column.loss) for column in columns],
                 [percentile == column.best for column in columns]),
            first=percentile == table.percentiles[0],
        ))  # fmt: skip
    static = [paper.STATIC_THRESHOLDS.get(column.loss) for column in columns]
    prior = [f"{value:.1f}" if value is not None else "" for value in static]
    return [*made, Row("static threshold", _zip(prior, [""] * len(columns)))]


def _pattern(columns: Sequence[Column]) -> list[Row]:
    best = [_list(paper_best(column.loss)) for column in columns]
    each = [_list(column.best_of_each_seed.values()) for column in columns]
    gaps = [f"{paper_gap(column.loss):+.1f}" for column in columns]
    empty = [""] * len(columns)
    return [
        Row("best p", _zip(best, [best_text(column) for column in columns]), first=True),
        Row("best p, by seed", _zip(empty, each)),
        Row("p = 10 − p = 100", _zip(gaps, [with_spread(one.gap, "+") for one in columns])),
        Row("gap here − paper's", _zip(empty, [with_spread(one.gap_to_paper, "+")
                                               for one in columns])),
    ]  # fmt: skip


def _zip(theirs: Sequence[Value], ours: Sequence[Value]) -> list[Value]:
    """Cells in the order of the columns."""
    return [one for pair in zip(theirs, ours, strict=True) for one in pair]


def percentile_label(percentile: float) -> str:
    """p as the first cell of a row."""
    return f"{percentile:g}" + {0.0: " (minimum)", 100.0: " (no clipping)"}.get(percentile, "")


def best_text(column: Column) -> str:
    """The best p, and of how many where not all of the paper's were run."""
    if column.best is None:
        return ""
    tried = "" if set(paper.PERCENTILES) <= set(column.cells) else f" (of {len(column.cells)})"
    return f"{column.best:g}{tried}"


def _counts(column: Column) -> str:
    counts = {len(cell.values) for cell in column.cells.values()}
    return " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""


def _list(percentiles: Iterable[float]) -> str:
    return ", ".join(f"{percentile:g}" for percentile in percentiles)
