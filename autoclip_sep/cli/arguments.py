"""The arguments of the scripts, ``key=value``: every mistake is one line."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError

STILL = "shard {} is done; others have still to make theirs, and the last one finishes the corpus"


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


def shard(settings: Mapping[str, str]) -> Shard:
    """The share of the work that the setting shard asks for: 3/16, or slurm's; all where empty."""
    value = settings["shard"]
    if value == "slurm":
        value = _of_array(os.environ)
    number, _, count = value.partition("/")
    if not value:
        return Shard()
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"shard={value[:40]}: must be N/M, such as 3/16, or slurm in a job array")
    return Shard(int(number), int(count))


def _of_array(environment: Mapping[str, str]) -> str:
    """The job's number among those of its array, from 1, and how many they are."""
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    found = [environment.get(f"SLURM_ARRAY_TASK_{name}", "1") for name in names]
    if "SLURM_ARRAY_TASK_ID" not in environment or not all(map(str.isdecimal, found)):
        raise InputError("shard=slurm: only in a job array, as sbatch --array=0-15 starts it")
    job, first, last, step, count = map(int, found)
    if (last - first) // step + 1 != count:
        raise InputError(
            f"shard=slurm: the array has {count} jobs from {first} to {last}: it must have no gaps;"
            " the whole array, once more, makes what is missing"
        )
    return f"{(job - first) // step + 1}/{count}"


def near(word: str, options: Iterable[str], ending: str = "") -> str:
    """The option that a word comes near to, for a message, with an ending; empty without any."""
    close = difflib.get_close_matches(word, list(options), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}{ending}?)" if close else ""


def _known(defaults: Mapping[str, str | None]) -> str:
    return f"there are {', '.join(defaults) or 'none'}"
