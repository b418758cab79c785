"""Checks on what a clipper is told, each failing with one line that names the argument."""

import math
from numbers import Integral, Real


def number(name: str, value: object, low: float, high: float, ends: str = "[]") -> float:
    """A finite number from low to high; the ends themselves are left out where they are round.

    Raises ValueError for anything else, strings and booleans included: `percentile=True` is a
    slip, not the first percentile.
    """
    plain = isinstance(value, Real) and not isinstance(value, bool)
    try:
        number = float(value) if plain else math.nan  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond float64
        number = math.inf
    too_low = number <= low if ends[0] == "(" else number < low
    too_high = number >= high if ends[1] == ")" else number > high
    if not math.isfinite(number) or too_low or too_high:
        wanted = f"a finite number in {ends[0]}{plain_text(low)}, {plain_text(high)}{ends[1]}"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return number


def whole_number(name: str, value: object, low: int) -> int:
    """A whole number of at least `low`; raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, not {value!r}")
    return int(value)


def flag(name: str, value: object) -> bool:
    """True or False; raises ValueError for anything else, the text "false" included."""
    if value is not True and value is not False:
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


def plain_text(value: float) -> str:
    """The shortest text that reads back as the same number: 10 and 10.0 both give "10"."""
    return repr(float(value)).removesuffix(".0")
