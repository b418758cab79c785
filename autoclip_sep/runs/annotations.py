"""Values from configs and JSON, checked against Python type annotations."""

import sys
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from torch import Tensor

from autoclip_sep.errors import InputError

_NAMES = {int: "an integer", float: "a finite number", bool: "true or false", str: "a string",
          None: "null", NoneType: "null"}  # fmt: skip
UNBOUNDED = 2**63  # the end of a range that has none: of 64 bits
_LONGEST = 60  # characters of a value in a message


def check(value: Any, hint: Any, key: str) -> None:
    """Raises InputError where the value of a setting doesn't fit an annotation."""
    if not fits(value, hint):
        raise InputError(f"{key}={as_yaml(value)}: must be {described(hint)}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value fits an annotation; Any and unknown annotations fit everything.

    Stricter than Python where that hides a mistake: true is not a number, a string is not a list, a
    number is finite and has 64 bits, and no string holds a NUL, which no path can.
    Annotated[int, range(1, 9)] is an integer from 1 to 8.
    """
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max
    if hint is int:
        return type(value) is int and -(2**63) <= value < 2**63
    if hint is str:
        return isinstance(value, str) and "\0" not in value
    if hint is None:
        return value is None
    if get_origin(hint) is not None:
        return _fits_parts(value, get_origin(hint), get_args(hint))
    plain = hint is not Any and isinstance(hint, type) and not getattr(hint, "_is_protocol", False)
    return not plain or isinstance(value, hint)


def _fits_parts(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin is Annotated:
        return fits(value, parts[0]) and value in parts[1]
    if origin is Literal:
        return value in parts
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple and ... not in parts:
        alike = isinstance(value, list | tuple) and len(value) == len(parts)
        return alike and all(map(fits, value, parts))
    if not issubclass(origin, Iterable):
        return True
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            fits(key, parts[0]) and fits(inner, parts[1]) for key, inner in value.items()
        )
    return isinstance(value, list | tuple) and all(fits(inner, parts[0]) for inner in value)


def described(hint: Any) -> str:
    """An annotation in words: "an integer or null"."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        least, most = parts[1][0], parts[1][-1]
        bounds = f"from {least} to {most}" if most < UNBOUNDED - 1 else f"of at least {least}"
        return f"{described(parts[0])} {bounds}"
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin in (Union, UnionType):  # a config can't hold a tensor
        return " or ".join(described(part) for part in parts if part is not Tensor)
    if origin is tuple:
        return f"a list of {len(parts)} (each {described(parts[0])})"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        each = "" if parts[1] is Any else f" (each {described(parts[1])})"
        return f"a mapping of names to values{each}"
    if origin is not None:
        return f"a list (each {described(parts[0])})"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def as_yaml(value: Any) -> str:
    """A value as it is written in a config, on one line and truncated where it is long."""
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize)
    except yaml.YAMLError:  # not a value that a config can hold
        text = repr(value)
    text = " ".join(text.removesuffix("...\n").split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
