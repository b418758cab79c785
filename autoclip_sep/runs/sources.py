"""What a config says of its sources, and what it may leave unsaid: names are for music."""

from collections.abc import Mapping
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.names import check_name

NAMING_HEADS = {"masks", "waveforms"}  # the i-th of these is the i-th source; clusters are no one's


def are_permuted(config: Mapping[str, Any]) -> bool:
    """Whether a run's estimates come in any order, from mixture to mixture."""
    return config["data"]["permute"] or not NAMING_HEADS & set(config["loss"]["heads"])


def bound(config: Mapping[str, Any]) -> str | None:
    """The best ideal mask of the kind that a run separates by; None where it uses no masks.

    Clusters give binary masks, mask heads masks within [0, 1], and so do waveforms of this
    package's own network, which are the masked mixture.
    """
    heads = set(config.get("loss", {}).get("heads", ()))
    if heads == {"embedding"}:
        return "ideal_binary_mask"
    own = str(config["model"].get("_target_")) == "autoclip_sep.models.separator.Separator"
    masked = "masks" in heads or ("waveforms" in heads and own)
    return "truncated_phase_sensitive_mask" if masked else None


def bound_title(name: str) -> str:
    """A bound's name for people: phase-sensitive mask."""
    return name.replace("_", " ").replace("phase sensitive", "phase-sensitive")


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources' names in the corpus' order; numbers from 1 where it has none.

    Raises InputError where there aren't as many as sources, where two are the same, and for one
    that can't name a file: separated sources are files of these names.
    """
    sources = config["data"]["sources"]
    given = config["data"].get("source_names") or range(1, sources + 1)
    if len(given) != sources:
        raise InputError(f"data.source_names={given}: must be {sources} names, as data.sources")
    found = tuple(check_name(str(name), "data.source_names") for name in given)
    if len(set(found)) != len(found):
        raise InputError(f"data.source_names={list(given)}: every source needs a name of its own")
    return found
