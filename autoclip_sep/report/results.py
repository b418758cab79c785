"""The result: scores with intervals, and how far they are from the bounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.report.plots import decimal, label, layout, limits, numbers, signed, with_interval
from autoclip_sep.report.section import Part, Plot, Section, Table
from autoclip_sep.report.sides import GAIN, Reported, Side
from autoclip_sep.statistics.interval import Interval, of_items
from autoclip_sep.statistics.paired import Paired, paired

LONG = 18  # letters of a name that is written in two lines
GAINED = "SI-SDR improvement [dB]"


@dataclass(frozen=True)
class Line:
    """A row of the table and of the plot, in dB."""

    name: str
    colour: str
    improvement: Interval
    si_sdr: Interval
    lowest: float  # 10th percentile over items of the improvement


def section(reported: Reported) -> Section:
    """Raises InputError where a side isn't scored, or two are on other items."""
    try:
        sides = [_line(side.name, side.colour, side.improvement, side.si_sdr)
                 for side in reported.sides]  # fmt: skip
    except InputError:
        return _of_summaries(reported)
    reported.check_alike()
    bounds = _bounds(reported.sides)
    lines = [*sides, *bounds]
    parts: list[Part] = []
    if not reported.compared and bounds:
        words = f"{_means(sides)}; {_means(bounds[-1:])}"
        parts.append(_plot("Mean over sources", GAINED, lines, words))
    parts += [_table(lines), *_sources(reported)]
    if not reported.compared:
        (line,), (side,) = sides, reported.sides
        answer = f"{_range(line.improvement)} {_undefined(side)}{_gap(line, bounds, side)}"
        unit = "SI-SDR improvement over the mixture"
        return Section("Result", answer, parts, signed(line.improvement.mean, "dB"), unit)
    a, b = reported.sides
    difference = paired(a.improvement, b.improvement)
    parts = [_difference(difference, a, b), *parts, _comparison(difference, a, b)]
    return Section("Result", _verdict(difference, a, b), parts, signed(difference.mean, "dB"),
                   f"SI-SDR: {a.name} over {b.text}", _clear(difference))  # fmt: skip


def _line(name: str, colour: str, improvement: DataFrame, si_sdr: DataFrame) -> Line:
    lowest = float(improvement.dropna().groupby(level="item").mean().mean(axis=1).quantile(0.1))
    return Line(name, colour, of_items(improvement), of_items(si_sdr), lowest)


def _bounds(sides: Sequence[Side]) -> list[Line]:
    """What ideal masks reach on the same items, of the first side that has them, rising."""
    found = next((tables for side in sides if (tables := side.bounds())), {})
    lines = [_line(f"{name[:1].upper()}{name[1:]}", "@muted", table[[GAIN]], table[["si_sdr"]])
             for name, table in found.items()]  # fmt: skip
    return sorted(lines, key=lambda line: line.improvement.mean)


def _range(one: Interval) -> str:
    over = f"{one.items:,} mixtures" + (f" and {one.seeds} seeds" if one.seeds > 1 else "")
    if math.isnan(one.low):
        return f"From {one.items} mixture: too few for an interval."
    return f"95 % interval {decimal(one.low)} to {decimal(one.high)} dB over {over}."


def _undefined(side: Side) -> str:
    undefined = int(side.improvement.isna().any(axis=1).sum())
    if not undefined:
        return ""
    return f"Left out without a finite score: {undefined} of {len(side.improvement):,} sources. "


def _gap(line: Line, bounds: Sequence[Line], side: Side) -> str:
    """How far the run is from the best ideal mask of its kind."""
    best = next((one for one in bounds if one.name.lower() == side.bound), None)
    if best is None:
        return ""
    gap = best.improvement.mean - line.improvement.mean
    return f"Its bound, the {side.bound}, is {decimal(gap)} dB higher."


def _verdict(one: Paired, a: Side, b: Side) -> str:
    """Which is better, and how sure that is."""
    if math.isnan(one.low):
        return "One mixture is too few to tell."
    between = f"{signed(one.low)} to {signed(one.high, 'dB')}"
    if _clear(one):
        better = a if one.mean > 0 else b
        first = f"{better.name} separates better: 95 % interval {between}."
    else:
        first = f"No clear winner: the 95 % interval, {between}, includes zero."
    counts = f"{a.name} is better on {100 * one.better_share:.0f} % of {one.items:,} mixtures"
    seeds = f"{one.seeds_a} and {one.seeds_b} seeds"
    if one.seeds_a == one.seeds_b:
        seeds = f"{one.seeds_a} seeds each"
    if max(one.seeds_a, one.seeds_b) == 1:
        seeds = "one seed each: other seeds may differ"
    return f"{first} {counts}; {seeds}."


def _clear(one: Paired) -> bool:
    """Whether the interval excludes zero."""
    return one.low > 0 or one.high < 0


def _comparison(one: Paired, a: Side, b: Side) -> Table:
    seeds = f"{one.seeds_needed:,}" if one.seeds_needed else "unknown: it takes two seeds a side"
    rows = [
        ["Mean difference", signed(one.mean, "dB")],
        ["95 % interval", f"{signed(one.low)} to {signed(one.high)} dB"],
        [f"Mixtures where {a.text} is better", f"{100 * one.better_share:.1f} %"],
        ["Probability of improvement", f"{100 * one.probability_of_improvement:.1f} %"],
        ["Wilcoxon signed-rank test, p", f"{one.p_value:.2g}"],
        ["Sources left out for silence", f"{one.dropped}"],
        ["Seeds that would tell (80 % power)", seeds],
    ]
    return Table("The comparison in numbers", ["", f"{a.name} minus {b.text}"], rows, folded=True)


def _means(lines: Sequence[Line]) -> str:
    return "; ".join(f"{line.name} {signed(line.improvement.mean, 'dB')}" for line in lines)


def _difference(one: Paired, a: Side, b: Side) -> Plot:
    """By how much a is better, beside zero; the intervals of each by itself say less."""
    found = Interval(one.mean, one.low, one.high, one.seeds_a, one.items)
    line = Line("Difference", a.colour, found, found, math.nan)
    ends = limits([[0.0, one.mean, one.low, one.high]], margin=0.1)
    axis = f"{a.name} minus {b.text} [dB]"
    return _plot("Difference of the means", axis, [line], f"{with_interval(found)} dB", ends)


def _plot(
    title: str, axis: str, lines: Sequence[Line], words: str, ends: Sequence[float] | None = None
) -> Plot:
    """A point with its interval for each, the highest above. ends: of an axis that shows zero."""
    ordered = sorted(lines, key=lambda line: line.improvement.mean)
    data = []
    for place, line in enumerate(ordered):
        one = line.improvement
        data.append({
            "type": "scatter", "mode": "markers", "x": numbers([one.mean]), "y": [place],
            "marker": {"size": 11, "color": line.colour}, "showlegend": False,
            "error_x": {
                "type": "data", "symmetric": False, "thickness": 3, "width": 0,
                "array": numbers([one.high - one.mean]), "color": line.colour,
                "arrayminus": numbers([one.mean - one.low]), "visible": math.isfinite(one.low),
            },
            "text": [f"{label(line.name)}: {with_interval(one)} dB"],
            "hovertemplate": "%{text}<extra></extra>",
        })  # fmt: skip
    zero = {"x_range": ends, "x_zeroline": True, "x_zerolinecolor": "@muted"} if ends else {}
    axes = layout(
        axis, "", y_showgrid=False, y_range=[-0.6, len(lines) - 0.4],
        y_tickvals=list(range(len(lines))), y_ticktext=[_folded(line.name) for line in ordered],
        **zero,
    )  # fmt: skip
    return Plot(title, f"{words}.", data, axes, "Bars are 95 % intervals.", beside=True,
                height=5 + 2.5 * len(lines))  # fmt: skip


def _folded(name: str) -> str:
    """A long name in two lines."""
    middle = name.rfind(" ", 0, len(name) // 2 + 3)
    if len(name) < LONG or middle < 0:
        return label(name)
    return f"{label(name[:middle])}<br>{label(name[middle + 1 :])}"


def _table(lines: Sequence[Line]) -> Table:
    rows = [
        [line.name, with_interval(line.improvement), with_interval(line.si_sdr),
         decimal(line.lowest), f"{line.improvement.items:,}"]
        for line in lines
    ]  # fmt: skip
    columns = ["", "SI-SDR improvement [dB]", "SI-SDR [dB]", "10th percentile of mixtures [dB]",
               "mixtures"]  # fmt: skip
    return Table("Means over sources, with 95 % intervals over mixtures", columns, rows)


def _sources(reported: Reported) -> list[Table]:
    """Scores of sources that have names, a column for each side."""
    cells: dict[str, dict[str, str]] = {}
    for side in reported.sides:
        for source, table in side.improvement.dropna().groupby(level="source", sort=False):
            if not str(source).isdecimal():
                own = cells.setdefault(shown(str(source)), {})
                own[side.name] = with_interval(of_items(table))
    names = [side.name for side in reported.sides]
    rows = [[source, *(own.get(name, "–") for name in names)] for source, own in cells.items()]
    heads = [f"{name} [dB]" for name in names]
    return [Table("SI-SDR improvement by source", ["", *heads], rows)] if rows else []


def _of_summaries(reported: Reported) -> Section:
    """The means alone, as what is kept of a run may have no scores of single items."""
    rows, means = [], []
    for side in reported.sides:
        scores = [score for run in side.runs if (score := run.score(side.split))]
        if not scores:
            raise InputError(f"{shown(side.name)} isn't scored on split={side.split}")
        found = [float(np.mean([score[key] for score in scores]))
                 for key in ("si_sdr_improvement_mean", "si_sdr_mean")]  # fmt: skip
        means.append(found[0])
        rows.append([side.name, *map(decimal, found), f"{len(scores)}"])
    table = Table(
        "Means over sources", ["", "SI-SDR improvement [dB]", "SI-SDR [dB]", "runs"], rows
    )
    answer = "No scores of single mixtures are kept: there is no interval."
    if not reported.compared:
        unit = "SI-SDR improvement over the mixture"
        return Section("Result", answer, [table], signed(means[0], "dB"), unit)
    a, b = reported.sides
    unit = f"SI-SDR: {a.name} over {b.text}"
    return Section("Result", answer, [table], signed(means[0] - means[1], "dB"), unit)
