"""Checks on the arguments of clippers, each failing with one line that names the argument."""

import math
from numbers import Integral, Real


def number(name: str, value: object, low: float, high: float, ends: str = "[]") -> float:
    """A finite number from low to high, as a float.

    ends: the brackets of the interval: "(]" is low < value <= high.

    Raises ValueError for anything else, strings and booleans included: `percentile=True` is a
    mistake, not the first percentile.
    """
    try:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        found = float(value) if is_number else math.nan  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond float64
        found = math.inf
    at_end = (ends[0] == "[" and found == low) or (ends[1] == "]" and found == high)
    if not math.isfinite(found) or not (low < found < high or at_end):
        interval = f"{ends[0]}{plain_text(low)}, {plain_text(high)}{ends[1]}"
        raise ValueError(f"{name} must be a finite number in {interval}, not {value!r}")
    return found


def integer(name: str, value: object, low: int) -> int:
    """An integer of at least `low`; raises ValueError for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, not {value!r}")
    return int(value)


def boolean(name: str, value: object) -> bool:
    """True or False; raises ValueError for anything else, the string "false" included."""
    if value is not True and value is not False:
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


def plain_text(value: float) -> str:
    """The shortest text that reads back as the same number: 10 and 10.0 both give "10"."""
    return repr(float(value)).removesuffix(".0")
