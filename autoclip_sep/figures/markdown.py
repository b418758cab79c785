"""Tables in Markdown."""

from collections.abc import Collection, Hashable

from pandas import DataFrame


def table(cells: DataFrame, right: Collection[Hashable] = ()) -> str:
    """The cells below the names of their columns. right: the columns aligned to the right."""
    rule = "|".join("--:" if name in right else "---" for name in cells)
    header, *rows = (" | ".join(map(str, row)) for row in [cells, *cells.to_numpy(dtype=object)])
    return "\n".join([f"| {header} |", f"|{rule}|", *(f"| {row} |" for row in rows), ""])
