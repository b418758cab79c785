"""A clipper's settings: the arguments of its class, kept as attributes of the same names."""

import hashlib
import inspect
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from autoclip_sep.clipping._arguments import plain_text

LONGEST = 40  # characters of a setting in a label; file systems allow 255 for a whole name


def settings(clipper: object) -> dict[str, tuple[Any, bool]]:
    """Each argument of the clipper's class: its value, and whether it isn't the default.

    Raises AttributeError for an argument that isn't kept as an attribute of its name.
    """
    found = {}
    for name, parameter in inspect.signature(type(clipper)).parameters.items():
        value = getattr(clipper, name)
        found[name] = value, value != parameter.default
    return found


def in_label(name: str, value: object) -> str:
    """How a label tells a setting: `_window1000`, `_parameter` for a text, a flag by its name."""
    if isinstance(value, str):
        text = value
    elif value is True:
        text = name
    elif isinstance(value, Real) and value is not False:
        text = name + plain_text(float(value))
    elif isinstance(value, Mapping):
        text = name + "-".join(f"{key}{one}" for key, one in value.items())
    elif isinstance(value, tuple | list):
        text = name + "-".join(map(str, value))
    else:
        text = f"{name}{value}"
    text = re.sub(r"[^\w.+-]+", "-", text)
    if len(text) > LONGEST:
        text = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return f"_{text}"
