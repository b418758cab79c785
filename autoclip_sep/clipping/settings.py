"""A clipper's settings, the arguments of its class, and their text in its label and repr."""

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


def label_of(clipper: object, start: str | None, *omitted: str) -> str:
    """The start, a format of settings, and all others that aren't defaults, but for the omitted.

    Without a start the name of the class: `clip_to_median` for ClipToMedian.
    """
    start = start or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(clipper).__name__).lower()
    values, others = {}, ""
    for name, (value, differs) in settings(clipper).items():
        values[name] = plain_text(value) if isinstance(value, float) else value
        if differs and name not in (*omitted, *re.findall(r"{(\w+)", start)):
            others += in_label(name, value)
    return start.format(**values) + others


def in_label(name: str, value: object) -> str:
    """A setting in a label: `_window1000`, a string by its value, a flag by its name."""
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


def repr_of(clipper: object) -> str:
    """The call that makes it, with the first setting and those that aren't defaults."""
    shown = [
        f"{name}={value!r}"
        for place, (name, (value, differs)) in enumerate(settings(clipper).items())
        if differs or (place == 0 and name != "max_nonfinite")
    ]
    return f"{type(clipper).__name__}({', '.join(shown)})"


def expand_options(init: Any, parent: Any) -> None:
    """Replaces `**options` in the signature of `init` by the arguments of the parent's `__init__`.

    So help, labels and checks of configs see one signature without any `**`.
    """
    own = inspect.signature(init).parameters
    named = [one for one in own.values() if one.kind is not one.VAR_KEYWORD]
    if len(named) < len(own):
        _, *inherited = inspect.signature(parent).parameters.values()  # without self
        named += [one.replace(kind=one.KEYWORD_ONLY) for one in inherited if one.name not in own]
        init.__signature__ = inspect.Signature(named)
        init.__annotations__ = parent.__annotations__ | init.__annotations__
