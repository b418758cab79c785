"""A comparison in words: a table with a line for each series, and the verdict."""

import math
from collections.abc import Sequence

from autoclip_sep.figures.comparison.curves import Course


def table(courses: Sequence[Course]) -> list[str]:
    """A line for each series."""
    head = ("", "leaves at step", "from there on", "run, at the end", "reference", "band")
    rows = [head, *map(row, courses)]
    widths = [max(len(cells[n]) for cells in rows) for n in range(len(head))]
    padded = [[f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
              for cells in rows]  # fmt: skip
    return ["  ".join(cells).rstrip() for cells in padded]


def row(course: Course) -> tuple[str, ...]:
    """A series in the table: where it leaves, and the last running medians."""
    left, there = "-", ""
    if not course.judged:
        left = f"{len(course.steps)} of {course.hold} records"
    elif course.left is not None:
        left, there = stretch(course), away(course)
    low, high = (course.centre[-1] + sign * course.half_width[-1] for sign in (-1, 1))
    band = f"{value(course, low)} .. {value(course, high)}"
    return (course.kind.name, left, there, value(course, course.run[-1]),
            value(course, course.centre[-1]), band)  # fmt: skip


def stretch(course: Course) -> str:
    """The steps from where the run is outside, and to where if it comes back."""
    back = f" to {course.steps[course.back]:,.0f}" if course.back is not None else ""
    return f"{course.steps[course.left]:,.0f}{back}"


def value(course: Course, level: float) -> str:
    """A level as it was recorded."""
    if not math.isfinite(level):
        return "not finite"
    return f"{10**level:.3g}" if course.kind.ratio else f"{level:.2f}{course.kind.unit}"


def away(course: Course) -> str:
    """How far the run is from the references where it is outside."""
    difference = course.away
    if not math.isfinite(difference):
        return "not finite"
    if course.kind.ratio:
        times = 10**difference
        return f"{times:,.0f} times the reference's" if times >= 10 else (
            f"{times:.2g} times the reference's")  # fmt: skip
    return f"{abs(difference):.2f}{course.kind.unit} {'above' if difference > 0 else 'below'} it"


def verdict(courses: Sequence[Course], references: int, so_far: bool) -> tuple[str, bool]:
    """In one line where the run leaves, and whether it does.

    references: how many there are. so_far: whether they go on where the run ends.
    """
    whose = "the reference" if references == 1 else f"the {references} references"
    judged = [course for course in courses if course.judged]
    leaving = sorted((course for course in judged if course.left is not None),
                     key=lambda course: course.steps[course.left])  # fmt: skip
    last = max(course.steps[-1] for course in courses)
    if not judged:
        longest = max(courses, key=lambda course: len(course.steps) / course.hold)
        return f"too early to tell, with {len(longest.steps)} of {longest.hold} records", False
    if not leaving:
        early = " so far" if so_far else ""
        return f"follows {whose}{early}, to step {last:,.0f}, in {len(judged)} series", False
    first = leaving[0]
    start = f"{first.steps[first.left]:,.0f}"
    begins = (f"leaves {whose} from its first record on, step {start}:" if first.left == 0
              else f"follows {whose} up to step {start}; from there")  # fmt: skip
    until = f", until step {first.steps[first.back]:,.0f}" if first.back is not None else ""
    others = [f"{course.kind.name} ({stretch(course)})" for course in leaving[1:]]
    also = f"; also {', '.join(others)}" if others else ""
    return f"{begins} the {first.kind.name} is {away(first)}{until}{also}", True
