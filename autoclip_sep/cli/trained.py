"""The trained network that a command names, as its settings want it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch

from autoclip_sep.errors import InputError
from autoclip_sep.permutation import MOST_SOURCES
from autoclip_sep.pretrained import Model, from_pretrained
from autoclip_sep.pretrained.model import OVERLAP
from autoclip_sep.pretrained.run import Trained, load

__all__ = ["Trained", "adapted", "load", "load_model"]

M = TypeVar("M", bound=Model)


def load_model(settings: Mapping[str, Any], device: torch.device) -> Model:
    """What run= or model= names; of a run, the weights that checkpoint= says.

    Raises InputError where neither or both are given, and as `from_pretrained` does.
    """
    run, model = settings["run"], settings["model"]
    if run and model:
        raise InputError(f"run={run} and model={model}: give one of them")
    if run:
        return load(run, settings["checkpoint"], device)
    if model:
        return from_pretrained(model, device=device, checkpoint=settings["checkpoint"])
    raise InputError("run is missing: add run=... or model=...")


def adapted(run: M, settings: Mapping[str, Any]) -> M:
    """The model as it is to separate by `masks` and, where given, `sources` and `chunk`.

    Raises InputError for a network that can't: only clusters may be soft, or of another number.
    """
    separation = run.separation
    sources = settings.get("sources") or separation.sources
    asked = f"sources={sources}" if sources != separation.sources else "masks=soft"
    changed = sources != separation.sources or settings["masks"] == "soft"
    if changed and not separation.clusters:
        raise InputError(
            f"{asked}: only a network that clusters embeddings can, such as one of "
            f"loss=deep_clustering; {run.name} gives {separation.sources} sources by itself"
        )
    if not 2 <= sources <= MOST_SOURCES and changed:
        raise InputError(f"sources={sources}: must be from 2 to {MOST_SOURCES}")
    separation = replace(separation, sources=sources, soft=settings["masks"] == "soft")
    if settings.get("chunk"):
        chunk = settings["chunk"] * run.config["data"]["sample_rate"]
        separation = replace(separation, chunk=chunk, overlap=int(OVERLAP * chunk))
    return replace(run, separation=separation)
