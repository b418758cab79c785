"""Scores by what is known of the mixtures: length, overlap, levels, genders, speakers, sources.

Numbers are cut at their quantiles. Every group's mean has an interval over its items, and over
seeds where there are several. All attributes group the same items: a group may be harder for
another reason than the one that names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pandas import DataFrame, Interval, Series, concat, qcut

from autoclip_sep.errors import InputError
from autoclip_sep.figures import markdown
from autoclip_sep.figures.scores.groupings import named, of_sources
from autoclip_sep.names import shown, some
from autoclip_sep.statistics.interval import of_items

BINS = 4
FEWEST = 5  # items in a bin
MOST = 20  # groups of one attribute: of more, the lowest and the highest
LEAST = 3  # items of each of those, unless all have one
WORST = 10
SCORE = "score"  # the first column of the worst items
DIGITS = range(3, 10)  # of a bin's bounds
COLUMNS = ["attribute", "group", "items", "sources", "mean", "low", "high"]


@dataclass(frozen=True)
class Breakdown:
    """groups: `COLUMNS`, a row for each group, attribute by attribute.

    worst: the items of lowest score, rising, with their attributes. mean: of all sources. notes: a
    line for each attribute that says nothing, and for what was left out.
    """

    groups: DataFrame
    worst: DataFrame
    mean: float
    notes: list[str]


def break_down(scores: DataFrame, items: DataFrame) -> Breakdown:
    """Scores by all attributes of their items.

    scores: rows indexed by item and source, a column for each seed. items: indexed by item, see
    evaluation/attributes.py. Raises InputError where a scored item isn't there, or none is scored.
    """
    unknown = sorted(set(scores.index.get_level_values("item")) - set(items.index))
    if unknown:
        raise InputError(f"{len(unknown)} scored items aren't among the items: {some(unknown)}")
    finite = np.isfinite(scores.to_numpy()).all(axis=1)
    if not finite.any():
        raise InputError("no item has a finite score: there is nothing to break down")
    kept, groups, notes = scores.loc[finite], [], []
    if not finite.all():
        notes.append(f"{(~finite).sum()} sources are left out: they have no finite score")
    for attribute, values in of_sources(kept.index, items).items():
        labels = bins(values) if values.dtype == float else values
        if labels.nunique() < 2:
            notes.append(f"{attribute}: all the same, or too few items")
            continue
        groups.append(_means(kept, labels).assign(attribute=str(attribute)))
    table = concat(groups)[COLUMNS] if groups else DataFrame(columns=COLUMNS)
    of_items = kept.groupby("item").mean().mean(axis=1)
    lowest = of_items.rename(SCORE).sort_values(kind="stable")[:WORST]
    worst = lowest.to_frame().join(named(items))
    return Breakdown(table.reset_index(drop=True), worst, float(kept.to_numpy().mean()), notes)


def bins(values: Series) -> Series:
    """Quantiles of numbers by item and source, named by their bounds; fewer of few items."""
    items = values.dropna().index.get_level_values("item").nunique()
    count = min(BINS, items // FEWEST)
    if count < 2:
        return Series(dtype=object)
    cut = qcut(values, count, duplicates="drop")
    return cut.cat.rename_categories(_bounds([*cut.cat.categories], values.min()))


def _bounds(cut: Sequence[Interval], least: float) -> list[str]:
    """The bins' names, in as many digits as tell all ends apart, from 3 on.

    The first bin begins below the least value for pandas, at it for a reader.
    """
    ends = [least, *(bin.right for bin in cut)]
    for digits in (*DIGITS, None):
        # Without digits a float is as long as it must be; + 0.0: no -0.
        names = [f"{round(end, 9) + 0.0:.{digits}g}" if digits else repr(end) for end in ends]
        if len({*names}) == len(ends):
            break
    return [f"{left} .. {right}" for left, right in pairwise(names)]


def _means(scores: DataFrame, labels: Series) -> DataFrame:
    """A row for each group: bins in their order, others from the lowest mean to the highest."""
    rows = []
    for label, members in scores.groupby(labels, observed=True):
        found = of_items(members)
        rows.append([label, found.items, len(members), found.mean, found.low, found.high])
    table = DataFrame(rows, columns=COLUMNS[1:])
    if labels.dtype == "category":
        return table
    table = table.sort_values("mean")
    if len(table) <= MOST:
        return table
    table = table[table["items"] >= min(LEAST, table["items"].max())]
    half = MOST // 2
    return table if len(table) <= MOST else concat([table[:half], table[-half:]])


def as_markdown(found: Breakdown, metric: str) -> str:
    """A table for each attribute, the worst items, and what is to be known.

    metric: with its unit.
    """
    parts = [f"Mean {metric}: {found.mean:.2f}\n"]
    for attribute, rows in found.groups.groupby("attribute", sort=False):
        cells = DataFrame({
            str(attribute): [_cell(one) for one in rows["group"]],
            "items": rows["items"],
            metric: rows["mean"].map("{:.2f}".format),
            "95 % interval": [*map(_range, rows["low"], rows["high"])],
        })  # fmt: skip
        parts.append(markdown.table(cells))
    worst = found.worst.map(lambda x: f"{x:.3g}" if isinstance(x, float) else _cell(x))
    parts += [f"The {len(worst)} lowest items\n"]
    parts += [
        markdown.table(
            worst.rename(columns={SCORE: metric})
            .set_axis([*map(_cell, worst.index)])
            .rename_axis("item")
            .reset_index()
        )
    ]
    parts += ["".join(f"- {shown(note)}\n" for note in found.notes)]
    return "\n".join(parts)


def _range(low: float, high: float) -> str:
    return f"{low:.2f} .. {high:.2f}" if np.isfinite(low) else ""


def _cell(text: object) -> str:
    return shown(str(text)).replace("|", r"\|")
