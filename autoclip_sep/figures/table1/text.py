"""Table 1 as Markdown, LaTeX and CSV."""

import math
from pathlib import Path

from pandas import DataFrame, Series

from autoclip_sep.figures import footer, markdown, paper
from autoclip_sep.figures.over_seeds import mean, sd
from autoclip_sep.figures.style import LOSSES
from autoclip_sep.figures.table1.cells import (
    WHOSE,
    Table,
    best,
    cells,
    gap,
    marked,
    notes,
    paper_best,
    paper_gap,
    percentile_label,
)
from autoclip_sep.files import write_whole

CSV_COLUMNS = [
    "quantity", "loss", "percentile", "paper", "here", "spread", "seeds", "corpus", "fingerprint",
    "model", "network", "batch", "iterations", "commit", "device", "date",
]  # fmt: skip
IN_HEADER = ["corpus", "network"]  # rows that a LaTeX table's header shows
LATEX = str.maketrans({
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "_": r"\_", "%": r"\%",
    "&": r"\&", "#": r"\#", "{": r"\{", "}": r"\}", "$": r"\$", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
})  # fmt: skip


def write(table: Table, stem: Path) -> None:
    """Write <stem>.md, <stem>.tex and <stem>.csv."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".md", as_markdown), (".tex", as_latex), (".csv", as_csv)):
        write_whole(stem.with_name(stem.name + suffix), text(table).encode())


def as_markdown(table: Table) -> str:
    """A table for a README, the best of each column in bold."""
    texts = _bold(cells(table), table, "**{}**")
    texts.columns = [f"{_symbol(loss)} {whose}" for loss in table.scores for whose in WHOSE]
    body = markdown.table(texts.rename_axis("p").reset_index(), right=list(texts))
    return f"{_paragraph(table)}\n\n{body}\n<sub>{footer.line(table.runs)}</sub>\n"


def as_latex(table: Table) -> str:
    r"""A tabular for \input into a table; needs \usepackage{booktabs} and nothing else.

    The paper's columns, then ours: up to 18 cm wide.
    """
    count, provenance = len(table.scores), table.provenance
    wholes = (
        f"Paper: {paper.CORPUS_TITLE}, {paper.NETWORK}",
        f"Here: {provenance['corpus']}, {provenance['network']}",
    )
    spans = [rf"\multicolumn{{{count}}}{{c}}{{{_escaped(whole)}}}" for whole in wholes]
    texts = _bold(cells(table).map(_escaped), table, r"\textbf{{{}}}").drop(index=IN_HEADER)
    texts = texts[[(loss, whose) for whose in WHOSE for loss in table.scores]]
    rows = [" & ".join([_escaped(str(label)), *row]) + r" \\" for label, row in texts.iterrows()]
    for first in (percentile_label(table.percentiles[0]), "best p"):
        place = list(texts.index).index(first)
        rows[place] = "\\midrule\n" + rows[place]
    return "\n".join([
        r"% Needs \usepackage{booktabs}.",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * 2 * count}@{{}}}}",
        r"\toprule",
        " & ".join(["", *spans]) + r" \\",
        rf"\cmidrule(lr){{2-{count + 1}}}\cmidrule(l){{{count + 2}-{2 * count + 1}}}",
        " & ".join(["$p$", *[LOSSES[loss][1] for loss in table.scores] * 2]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}\par\smallskip",
        rf"{{\scriptsize {_escaped(_paragraph(table))}\\ {_escaped(footer.line(table.runs))}\par}}",
        r"\endgroup",
        "",
    ])  # fmt: skip


def _bold(texts: DataFrame, table: Table, form: str) -> DataFrame:
    """The best of each column in bold."""
    return texts.mask(marked(table) & (texts != ""), texts.map(form.format))


def _paragraph(table: Table) -> str:
    return " ".join(f"{sentence}." for sentence in notes(table))


def _escaped(text: str) -> str:
    return text.translate(LATEX)


def _symbol(loss: str) -> str:
    """MI+WKM of $L_\\mathrm{MI+WKM}$."""
    return LOSSES[loss][1].partition("{")[2].rstrip("}$")


def as_csv(table: Table) -> str:
    """A line for every cell, run or not, and for the pattern of every loss.

    best_percentile: of the highest mean. p10_minus_p100: paired by seed. SI-SDR in dB.
    """
    lines: list[dict[str, object]] = []
    for loss, scores in table.scores.items():
        theirs, ours = paper.TABLE_1[loss], best(scores)
        iterations = footer.iterations(table.of(loss)).replace(",", "")
        about = {**table.provenance, "loss": loss, "iterations": iterations}
        for p in table.percentiles:
            cell = _ours(scores.get(p, Series()))
            lines.append({**about, "quantity": "si_sdr", "percentile": f"{p:g}",
                          "paper": theirs.get(p, ""), **cell})  # fmt: skip
        lines.append({**about, "quantity": "best_percentile",
                      "paper": " ".join(f"{p:g}" for p in paper_best(loss)),
                      "here": "" if ours is None else f"{ours:g}"})  # fmt: skip
        lines.append({**about, "quantity": "p10_minus_p100", "paper": paper_gap(loss),
                      **_ours(gap(scores))})  # fmt: skip
    return str(DataFrame(lines, columns=CSV_COLUMNS, dtype=object).to_csv(index=False))


def _ours(values: Series) -> dict[str, object]:
    numbers = {"here": mean(values), "spread": sd(values)}
    known = {name: number for name, number in numbers.items() if math.isfinite(number)}
    return {**known, "seeds": values.count()}
