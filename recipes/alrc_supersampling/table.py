"""What ALRC changes in the supersampling experiment, setting by setting, as a table."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from autoclip_sep.figures.supersampling import Course

WITHOUT, WITH = "none", "alrc_n3"
OPTIMIZERS = {"adam": "Adam", "momentum": "momentum SGD", "rmsprop": "RMSProp"}


@dataclass(frozen=True)
class Spread:
    """Of several seeds: the middle one, the least and the most."""

    middle: float
    least: float
    most: float


@dataclass(frozen=True)
class Outcome:
    """How the seeds of one setting went, with one clipper.

    final, worst: the last boxcar of 500 training errors and, after the first, the highest; inf for
    a run that diverged. test: squared error of the test images. spikes, clipped_share: means.
    """

    seeds: int
    diverged: int
    final: Spread
    worst: Spread
    test: Spread
    spikes: float
    clipped_share: float


@dataclass(frozen=True)
class Line:
    """One setting without and with ALRC."""

    error: str
    optimizer: str
    rate: str
    lr: float
    batch_size: int
    without: Outcome
    with_alrc: Outcome


def lines(courses: Iterable[Course]) -> list[Line]:
    """A line for every setting that was run both ways, stable rates first."""
    groups: dict[tuple[bool, bool, str, int], dict[str, list[Course]]]
    groups = defaultdict(lambda: defaultdict(list))
    for one in courses:
        key = (one.error == "quartic", one.rate != "stable", one.optimizer, one.batch_size)
        groups[key][one.clipping].append(one)
    found = []
    for _, both in sorted(groups.items(), key=lambda group: group[0]):
        if WITHOUT in both and WITH in both:
            one = both[WITHOUT][0]
            found.append(
                Line(one.error, one.optimizer, one.rate, one.lr, one.batch_size,
                     outcome(both[WITHOUT]), outcome(both[WITH]))
            )  # fmt: skip
    return found


def outcome(courses: Sequence[Course]) -> Outcome:
    """Of the seeds of one setting and clipper."""
    return Outcome(
        len(courses),
        sum(one.diverged for one in courses),
        _spread([one.final for one in courses]),
        _spread([_worst(one) for one in courses]),
        _spread([one.test_squared_error for one in courses]),
        fmean(one.spikes for one in courses),
        fmean(one.clipped_share for one in courses),
    )


def markdown(found: Sequence[Line]) -> str:
    """The table for a README."""
    text = [
        "| error | optimizer | learning rate | batch | final error, none | final error, ALRC "
        "| highest, none | highest, ALRC | spikes, none | spikes, ALRC | clipped |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for line in found:
        text.append(
            f"| {line.error} | {OPTIMIZERS.get(line.optimizer, line.optimizer)} "
            f"| {line.rate}, {line.lr:g} | {line.batch_size} "
            f"| {_final(line.without)} | {_final(line.with_alrc)} "
            f"| {_number(line.without.worst.middle)} | {_number(line.with_alrc.worst.middle)} "
            f"| {line.without.spikes:.1f} | {line.with_alrc.spikes:.1f} "
            f"| {line.with_alrc.clipped_share:.1%} |"
        )
    return "\n".join(text) + "\n"


def _final(one: Outcome) -> str:
    """Median (least to most); runs that diverged are counted."""
    if one.diverged == one.seeds:
        return "all diverged"
    text = _number(one.final.middle)
    if one.seeds > 1:
        text += f" ({_number(one.final.least)} to {_number(one.final.most)})"
    return text


def _number(value: float) -> str:
    return "diverged" if math.isinf(value) else f"{value:.2g}"


def _worst(course: Course) -> float:
    return math.inf if course.diverged else float(course.curve[1:].max(initial=0.0))


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
