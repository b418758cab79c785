"""What a config says of its sources, and what it may leave unsaid: names are for music."""

from collections.abc import Mapping
from typing import Any

from autoclip_sep.cli.build import build
from autoclip_sep.errors import InputError
from autoclip_sep.names import check_name

NAMING_HEADS = {"masks", "waveforms"}  # the i-th of these is the i-th source; clusters are no one's


def are_permuted(config: Mapping[str, Any]) -> bool:
    """Whether a run's estimates come in any order, from mixture to mixture."""
    return config["data"]["permute"] or not NAMING_HEADS & set(config["loss"]["heads"])


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources' names in the corpus' order; numbers from 1 where it has none.

    Raises InputError where there aren't as many as sources, or no whole number of these, where two
    are the same, and for one that can't name a file: separated sources are files of these names.
    """
    sources = _count(config["data"], "sources")
    given = config["data"].get("source_names") or range(1, sources + 1)
    if isinstance(given, str) or len(given) != sources:
        raise InputError(f"data.source_names={given}: data.sources={sources} are wanted")
    found = tuple(check_name(str(name), "data.source_names") for name in given)
    if len(set(found)) != len(found):
        raise InputError(f"data.source_names={list(given)}: every source needs a name of its own")
    return found


def parts(config: Mapping[str, Any]) -> dict[str, Any]:
    """What training is told of named sources and long tracks; most corpora say nothing of it."""
    data = config["data"]
    return {
        "permute": are_permuted(config),
        "augmentation": build(data.get("augmentation"), "data.augmentation"),
        "valid_segments": _count({"valid_segments": 1, **data}, "valid_segments"),
    }


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"data.{key}={value!r}: a whole number from 1 is wanted")
    return value
