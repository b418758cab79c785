"""What is asked of Slurm: launchers/slurm.yaml, a file of one's own, ``slurm.KEY=VALUE``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml

from autoclip_sep.cli.arguments import near
from autoclip_sep.errors import InputError
from autoclip_sep.runs.annotations import check
from autoclip_sep.runs.config import Count, Seconds, read_yaml

DEFAULTS = Path(__file__).parents[1] / "launchers" / "slurm.yaml"
Name = str | None
Number = Annotated[int, range(1_000_001)]
TYPES: dict[str, Any] = {
    "partition": Name, "account": Name, "qos": Name,
    "array_parallelism": Count, "gpus_per_node": Number | None, "cpus_per_task": Count | None,
    "mem_gb": float | None, "timeout_min": Count, "signal_delay_s": Annotated[int, range(1, 65536)],
    "max_num_timeout": Number, "max_num_killed": Number, "setup": Sequence[str],
    "additional_parameters": Mapping[str, Any], "poll_s": Seconds,
}  # fmt: skip


def read(given: Sequence[str]) -> dict[str, Any]:
    """The settings that ``slurm=FILE`` and ``slurm.KEY=VALUE`` give, and defaults for the others.

    Raises InputError for unknown keys, values of wrong types, and times that don't fit.
    """
    settings: dict[str, Any] = {}
    files = [one.partition("=")[2] for one in given if one.startswith("slurm=")]
    for path in (DEFAULTS, *map(Path, files)):
        if not path.is_file():
            raise InputError(f"slurm={path}: there is no such file")
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise InputError(f"slurm={path} must be a mapping, as {DEFAULTS} is")
        settings |= _checked(content, f"{path}: ")
    values = [one.removeprefix("slurm.") for one in given if one.startswith("slurm.")]
    pairs = (one.partition("=")[::2] for one in values)
    settings |= _checked({key: _value(key, text) for key, text in pairs}, "slurm.")
    if settings["signal_delay_s"] >= 60 * settings["timeout_min"]:
        raise InputError(
            f"slurm.signal_delay_s={settings['signal_delay_s']}: that is all of "
            f"slurm.timeout_min={settings['timeout_min']}; a job must have time to train"
        )
    return settings


def _checked(content: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for key, value in content.items():
        if key not in TYPES:
            meant = near(str(key), TYPES)
            raise InputError(
                f"{where}{key}: there is no such setting{meant}; there are {', '.join(TYPES)}"
            )
        check(value, TYPES[key], f"{where}{key}")
    return content


def _value(key: str, text: str) -> Any:
    """A value from the command line, read as YAML; names are text whatever they look like."""
    if TYPES.get(key) is Name and text != "null":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"slurm.{key}={text}: the value is not understood") from error
