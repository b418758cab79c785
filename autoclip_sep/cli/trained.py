"""The trained network that a command names, as its settings want it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.permutation import MOST_SOURCES
from autoclip_sep.pretrained.run import OVERLAP, Trained, load

__all__ = ["Trained", "adapted", "load"]


def adapted(run: Trained, settings: Mapping[str, Any]) -> Trained:
    """The run as it is to separate by the settings `masks` and, where given, `sources` and `chunk`.

    Raises InputError for a network that can't: only clusters may be soft, or of another number.
    """
    separation = run.separation
    sources = settings.get("sources") or separation.sources
    asked = f"sources={sources}" if sources != separation.sources else "masks=soft"
    changed = sources != separation.sources or settings["masks"] == "soft"
    if changed and not separation.clusters:
        raise InputError(
            f"{asked}: only a network that clusters embeddings can, such as one of "
            f"loss=deep_clustering; {run.directory} gives {separation.sources} sources by itself"
        )
    if not 2 <= sources <= MOST_SOURCES and changed:
        raise InputError(f"sources={sources}: must be from 2 to {MOST_SOURCES}")
    separation = replace(separation, sources=sources, soft=settings["masks"] == "soft")
    if settings.get("chunk"):
        chunk = settings["chunk"] * run.config["data"]["sample_rate"]
        separation = replace(separation, chunk=chunk, overlap=int(OVERLAP * chunk))
    return replace(run, separation=separation)
