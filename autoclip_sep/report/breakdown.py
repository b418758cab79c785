"""Where it scores low: by length, overlap, levels, speakers, whatever is known of the mixtures."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures.scores.breakdown import SCORE, Breakdown, break_down
from autoclip_sep.names import shown
from autoclip_sep.report.plots import Trace, decimal, label, layout, numbers
from autoclip_sep.report.section import Plot, Section, Table
from autoclip_sep.report.sides import Reported, Side
from autoclip_sep.runs import scores

LONGEST = 24  # letters of a group's name on an axis
UNIT = "SI-SDR improvement [dB]"
FEW = 10  # groups that are shown of an attribute


class Group(NamedTuple):
    """Mixtures that have something in common: their mean, its interval, and how many there are."""

    group: str
    mean: float
    low: float
    high: float
    items: float


def section(reported: Reported) -> Section:
    """A plot for each attribute, and the mixtures that score lowest.

    Raises InputError where nothing is known of the mixtures, or they are other ones.
    """
    reported.check_alike()
    found = [break_down(side.improvement, _items(side)) for side in reported.sides]
    attributes = list(dict.fromkeys(found[0].groups["attribute"]))
    if not attributes:
        raise InputError("no attribute of the mixtures has two groups")
    plots = [_plot(str(name), reported.sides, found) for name in attributes]
    worst = [_worst(*each) for each in zip(reported.sides, found, strict=True)]
    return Section("Breakdown", _answer(found[0]), [*plots, *worst])


def _items(side: Side) -> DataFrame:
    path = side.first.directory / "evaluation" / f"{side.split}_items.csv"
    if not path.is_file():
        raise InputError(f"no {path.name}: evaluate.py writes it")
    items: DataFrame = scores.read_items(path)
    return items


def _answer(found: Breakdown) -> str:
    """The attribute of few groups that are farthest apart, if their intervals don't overlap."""
    most, words = 0.0, "No attribute sets groups of mixtures clearly apart."
    for attribute, rows in found.groups.groupby("attribute", sort=False):
        low, high = _ends(rows)
        gap = high.mean - low.mean
        if len(rows) <= FEW and gap > most and low.high < high.low:
            most = gap
            words = (
                f"Largest gap, of attributes with up to {FEW} groups: by {attribute},"
                f" {decimal(low.mean)} dB for {_words(low.group)} and {decimal(high.mean)} dB for"
                f" {_words(high.group)}."
            )
    return words


def _ends(rows: DataFrame) -> tuple[Group, Group]:
    """The groups of the lowest and of the highest mean."""
    groups = sorted(_groups(rows), key=lambda group: group.mean)
    return groups[0], groups[-1]


def _groups(rows: DataFrame) -> list[Group]:
    return [Group(str(name), *map(float, values)) for name, *values in
            rows[["group", "mean", "low", "high", "items"]].to_numpy(object)]  # fmt: skip


def _plot(attribute: str, sides: Sequence[Side], found: Sequence[Breakdown]) -> Plot:
    """The mean of each group with its interval, the sides above each other."""
    tables = [one.groups[one.groups["attribute"] == attribute] for one in found]
    groups = _groups(tables[0])
    few = groups if len(groups) <= FEW else [*groups[: FEW // 2], *groups[-FEW // 2 :]]
    names = [group.group for group in few]
    data = []
    for n, (side, rows) in enumerate(zip(sides, tables, strict=True)):
        own = [group for group in _groups(rows) if group.group in names]
        shift = 0.14 * (2 * n - len(sides) + 1)
        data.append(_dots(side, own, [names.index(group.group) + shift for group in own]))
    axes = layout(
        UNIT, "", y_range=[len(names) - 0.4, -0.6], y_showgrid=False,
        y_tickvals=list(range(len(names))), y_ticktext=[_short(name) for name in names],
        showlegend=len(sides) > 1,
    )  # fmt: skip
    low, high = _ends(tables[0])
    answer = (
        f"From {decimal(low.mean)} dB ({_words(low.group)}) to {decimal(high.mean)} dB"
        f" ({_words(high.group)})."
    )
    title = f"{attribute[0].upper()}{attribute[1:]}"
    note = "" if len(few) == len(groups) else f"The {FEW // 2} lowest and the {FEW // 2} highest."
    height = 5 + 1.7 * len(names) + 1.5 * (len(sides) > 1)
    return Plot(title, answer, data, axes, note, beside=True, height=height)


def _dots(side: Side, groups: Sequence[Group], places: Sequence[float]) -> Trace:
    hover = [
        f"{label(group.group)}: {decimal(group.mean)} dB ({decimal(group.low)} to"
        f" {decimal(group.high)}), {group.items:,.0f} mixtures"
        for group in groups
    ]
    return {
        "type": "scatter", "mode": "markers", "name": label(side.name), "text": hover,
        "x": numbers([group.mean for group in groups]), "y": list(places),
        "marker": {"size": 8, "color": side.colour}, "hovertemplate": "%{text}<extra></extra>",
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": side.colour,
            "array": numbers([group.high - group.mean for group in groups]),
            "arrayminus": numbers([group.mean - group.low for group in groups]),
        },
    }  # fmt: skip


def _words(group: str) -> str:
    """A group's name as text: bounds of numbers as from .. to."""
    return shown(re.sub(r"(?<!\w)-(?=\d)", "−", group.replace(" .. ", " to ")))


def _short(name: str) -> str:
    text = _words(name)
    return label(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def _worst(side: Side, found: Breakdown) -> Table:
    rows = [
        [shown(str(item)), *(_cell(value) for value in values)]
        for item, values in zip(found.worst.index, found.worst.to_numpy(object), strict=True)
    ]
    worst = found.worst.rename(columns={SCORE: UNIT})
    columns = ["", *(shown(str(name)).replace("_", " ") for name in worst)]
    words = [n for n, kind in enumerate(found.worst.dtypes, start=1) if kind.kind == "O"]
    return Table(f"The {len(rows)} lowest mixtures, {side.name}", columns, rows, words=words)


def _cell(value: object) -> str:
    return decimal(value) if isinstance(value, float) else shown(str(value or ""))
