"""Table 1 as Markdown, LaTeX and CSV."""

import csv
import io
import math
from dataclasses import asdict
from pathlib import Path

from autoclip_sep.figures import paper
from autoclip_sep.figures.comparable import OverSeeds
from autoclip_sep.figures.style import LOSSES
from autoclip_sep.figures.table1.columns import Column, Table, paper_best, paper_gap
from autoclip_sep.figures.table1.rows import Row, notes, rows
from autoclip_sep.files import write_whole

CSV_COLUMNS = (
    "quantity", "loss", "percentile", "paper", "here", "spread", "seeds", "corpus", "fingerprint",
    "model", "network", "batch", "iterations", "commit", "device", "date",
)  # fmt: skip
IN_HEADER = ("corpus", "network")  # rows that a LaTeX table's header tells
LATEX = str.maketrans({
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "_": r"\_", "%": r"\%",
    "&": r"\&", "#": r"\#", "{": r"\{", "}": r"\}", "$": r"\$", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
})  # fmt: skip


def write(table: Table, stem: Path) -> None:
    """Write <stem>.md, <stem>.tex and <stem>.csv."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".md", markdown), (".tex", latex), (".csv", as_csv)):
        write_whole(stem.with_name(stem.name + suffix), text(table).encode())


def markdown(table: Table) -> str:
    """A table for a README, the best of each column in bold."""
    heads = [f"{_symbol(loss)} {whose}" for loss in table.columns for whose in ("paper", "here")]
    lines = [["p", *heads], ["---", *["--:"] * len(heads)]]
    for row in rows(table):
        bold = row.bold or [False] * len(row.cells)
        lines.append(
            [
                row.label,
                *(
                    f"**{cell}**" if strong and cell else cell
                    for cell, strong in zip(row.cells, bold, strict=True)
                ),
            ]
        )
    text = "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)
    return f"{_paragraph(table)}\n\n{text}\n\n<sub>{table.origin.line()}</sub>\n"


def latex(table: Table) -> str:
    r"""A tabular for \input into a table; needs \usepackage{booktabs} and nothing else.

    The paper's columns, then ours: up to 18 cm wide.
    """
    count, origin = len(table.columns), table.origin
    wholes = (
        f"Paper: {paper.CORPUS_TITLE}, {paper.NETWORK}",
        f"Here: {origin.corpus}, {origin.network}",
    )
    spans = [rf"\multicolumn{{{count}}}{{c}}{{{_escaped(whole)}}}" for whole in wholes]
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * 2 * count}@{{}}}}",
        r"\toprule",
        " & ".join(["", *spans]) + r" \\",
        rf"\cmidrule(lr){{2-{count + 1}}}\cmidrule(l){{{count + 2}-{2 * count + 1}}}",
        " & ".join(["$p$", *[LOSSES[loss][1] for loss in table.columns] * 2]) + r" \\",
        r"\midrule",
    ]
    for row in rows(table):
        if row.label not in IN_HEADER:
            lines += [r"\midrule"] * row.first + [_latex_row(row)]
    lines += [
        r"\bottomrule",
        r"\end{tabular}\par\smallskip",
        rf"{{\scriptsize {_escaped(_paragraph(table))}\\ {_escaped(origin.line())}\par}}",
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(row: Row) -> str:
    bold = row.bold or [False] * len(row.cells)
    cells = [
        rf"\textbf{{{_escaped(cell)}}}" if strong and cell else _escaped(cell)
        for cell, strong in zip(row.cells, bold, strict=True)
    ]
    return " & ".join([_escaped(row.label), *cells[0::2], *cells[1::2]]) + r" \\"


def _paragraph(table: Table) -> str:
    return "".join(f"{sentence}. " for sentence in notes(table)).strip()


def _escaped(text: str) -> str:
    return text.translate(LATEX)


def _symbol(loss: str) -> str:
    """MI+WKM of $L_\\mathrm{MI+WKM}$."""
    return LOSSES[loss][1].partition("{")[2].rstrip("}$")


def as_csv(table: Table) -> str:
    """A line for every cell, run or not, and for the pattern of every loss.

    best_percentile: of the highest mean. p10_minus_p100: paired by seed. SI-SDR in dB.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for column in table.columns.values():
        iterations = column.iterations.replace(",", "")
        about = {**asdict(table.origin), "iterations": iterations, "loss": column.loss, "seeds": ""}
        for line in _csv_lines(table, column):
            writer.writerow({**about, **line})
    return text.getvalue()


def _csv_lines(table: Table, column: Column) -> list[dict[str, object]]:
    theirs = paper.TABLE_1[column.loss]
    cells = [
        {"quantity": "si_sdr", "percentile": f"{p:g}", "paper": theirs.get(p, ""),
         **_ours(column.cell(p))} for p in table.percentiles
    ]  # fmt: skip
    best: dict[str, object] = {
        "quantity": "best_percentile",
        "paper": " ".join(f"{p:g}" for p in paper_best(column.loss)),
        "here": "" if column.best is None else f"{column.best:g}",
    }
    gap = {"quantity": "p10_minus_p100", "paper": paper_gap(column.loss), **_ours(column.gap)}
    return [*cells, best, gap]


def _ours(value: OverSeeds) -> dict[str, object]:
    if not value.values:
        return {"seeds": 0}
    spread = value.spread if math.isfinite(value.spread) else ""
    return {"here": value.mean, "spread": spread, "seeds": len(value.values)}
