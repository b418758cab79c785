"""The arguments of the scripts, ``key=value``: every mistake is one line."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoclip_sep.errors import InputError


def read(arguments: Sequence[str], defaults: Mapping[str, str | None]) -> dict[str, str]:
    """The settings that ``key=value`` arguments give, and defaults for the others.

    defaults: None for a setting that must be given. A value is all that follows the first `=`, so
    that a path may hold anything. Raises InputError naming an argument that is not `key=value`, an
    unknown key with its nearest, one given twice, and those that are missing.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in defaults or not equals:
            meant = near(key.lstrip("-"), defaults, "=...")
            raise InputError(f"{argument}: no such setting{meant}; {_known(defaults)}")
        if not value or key in given:
            raise InputError(f"{argument}: {key} must have one value")
        given[key] = value
    missing = [key for key, default in defaults.items() if default is None and key not in given]
    if missing:
        raise InputError(f"missing: {'=... '.join(missing)}=...; {_known(defaults)}")
    return {key: given.get(key, default or "") for key, default in defaults.items()}


def check_choice(settings: Mapping[str, Any], key: str, *choices: str) -> None:
    """Refuse a value that is not one of the choices."""
    if settings[key] not in choices:
        raise InputError(f"{key}={settings[key]}: must be one of {', '.join(choices)}")


def several(settings: Mapping[str, str], key: str, *choices: str) -> list[str]:
    """The values of a setting, separated by commas, each once. Refuses what isn't a choice."""
    values = list(dict.fromkeys(settings[key].split(",")))
    for value in values:
        check_choice({key: value}, key, *choices)
    return values


def flag(settings: Mapping[str, str], key: str) -> bool:
    """A setting that must be true or false."""
    check_choice(settings, key, "true", "false")
    return settings[key] == "true"


def count(settings: Mapping[str, str], key: str, of: str = "", least: int = 1) -> int:
    """An integer of at least `least`. of: what is counted, for the message."""
    value = settings[key]
    if not value.isdecimal() or int(value) < least:
        raise InputError(f"{key}={value}: must be an integer from {least}{of and f' ({of})'}")
    return int(value)


def processes(settings: Mapping[str, str]) -> int | None:
    """How many processes the setting jobs asks for; None where it is empty."""
    return count(settings, "jobs", "processes") if settings["jobs"] else None


def near(word: str, options: Iterable[str], ending: str = "") -> str:
    """The option that a word comes near to, for a message, with an ending; empty without any."""
    close = difflib.get_close_matches(word, list(options), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}{ending}?)" if close else ""


def _known(defaults: Mapping[str, str | None]) -> str:
    return f"there are {', '.join(defaults) or 'none'}"
