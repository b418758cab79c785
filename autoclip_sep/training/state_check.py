"""The state in a checkpoint, validated as a whole before any of it is loaded."""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from autoclip_sep import random_state
from autoclip_sep.clipping import Clipper
from autoclip_sep.dynamics import Spikes
from autoclip_sep.runs.checkpoint import State
from autoclip_sep.runs.saved_state import (
    require_keys,
    require_mapping,
    validated,
    validated_weights,
)

# Numbers that torch's schedules and optimizers change; all others are the config's.
MOVING = frozenset(
    "lr _last_lr best last_epoch num_bad_epochs cooldown_counter _step_count T_cur T_i".split()
)
SCALE = frozenset({"scale", "_growth_tracker"})  # the same of a GradScaler
LATER = {"spikes"}  # missing in runs that began before spikes were recorded


def check(
    saved: Any, own: State, model: nn.Module, optimizer: Optimizer, clipper: Clipper
) -> State:
    """A copy of a saved state that may be loaded into the objects of this run.

    own: what the run would save now, before its first step.

    Raises ValueError, naming the place, for a state that this run can't have saved: other entries,
    types, shapes or settings, or impossible numbers.
    """
    require_keys(saved, own, "the state", optional=LATER)
    special: dict[str, Callable[[Any], Any]] = {
        "model": lambda value: validated_weights(value, model),
        "optimizer": lambda value: _optimizer(value, optimizer),
        "scheduler": lambda value: _schedule(value, own["scheduler"]),
        "clipper": lambda value: _loadable(value, own, "clipper", copy.deepcopy(clipper)),
        "scaler": lambda value: validated(value, own["scaler"], "scaler", moving=SCALE),
        "spikes": lambda value: _loadable(value, own, "spikes", Spikes(None)),
        "random": _random,
        "environment": lambda value: _environment(value, own["environment"]),
    }
    state = {
        key: special[key](value) if key in special else validated(value, own[key], key, name=key)
        for key, value in saved.items()
    }
    epoch, batch, steps = state["epoch"], state["batch"], state["recorder"]["steps"]
    if not 1 <= epoch <= steps + 1 or batch > steps:
        raise ValueError(f"batch {batch} of epoch {epoch} is impossible after {steps} steps")
    return state


def _schedule(saved: Any, own: State) -> State:
    """Settings are as built; the counters of the schedule may have moved."""
    if saved == {} and own.get("factor") == 1.0 and "total_iters" in own:
        saved = own  # a constant rate, which had no state in older runs
    state: State = validated(saved, own, "scheduler", moving=MOVING)
    return state


def _optimizer(saved: Any, optimizer: Optimizer) -> State:
    """Entries are those of this kind of optimizer; groups are as built, their rates aside."""
    like = _after_a_step(optimizer)
    require_keys(saved, like, "optimizer")
    groups, entries = saved["param_groups"], saved["state"]
    built = like["param_groups"]
    if isinstance(groups, list) and list(map(type, groups)) == [dict] * len(built):
        # Settings that the saving version of torch didn't have are as built.
        groups = [{**own, **group} for own, group in zip(built, groups, strict=True)]
    require_mapping(entries, "optimizer.state")
    # A parameter that has had no gradient has no entries.
    wanted = {key: own for key, own in like["state"].items() if key in entries}
    return {
        "param_groups": validated(groups, built, "optimizer.groups", moving=MOVING),
        "state": validated(entries, wanted, "optimizer.state"),
    }


def fits_optimizer(saved: Any, optimizer: Optimizer) -> bool:
    """Whether an optimizer can take over a saved state."""
    try:
        _optimizer(saved, optimizer)
    except ValueError:
        return False
    return True


def _after_a_step(optimizer: Optimizer) -> State:
    """The state of a copy that has taken one step, with all entries that this kind keeps."""
    twin = copy.deepcopy(optimizer)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    twin.step()
    return twin.state_dict()


def _loadable(saved: Any, whole: State, where: str, unused: Clipper | Spikes) -> State:
    """The state, once its numbers are valid and `unused`, an object of its kind, has loaded it."""
    own = whole[where]
    require_keys(saved, own, where, optional=own.keys())
    state = dict(saved)
    for key in saved:
        # Sequences are checked by the object itself: in older states they were tensors.
        if isinstance(own[key], int | float):
            name = key.rpartition(".")[2]
            state[key] = validated(saved[key], own[key], f"{where}.{key}", name=name, free=True)
    try:
        unused.load_state_dict(state)
    except Exception as error:  # of any type: the state is to blame
        raise ValueError(f"{where}: {error}") from error
    return state


def _random(saved: Any) -> list[random_state.RandomState]:
    """The generators' states of every process, tried on an unused generator."""
    if not isinstance(saved, list) or not saved:
        raise ValueError("random is not a list of states")
    some = torch.empty(0, dtype=torch.uint8)
    states = []
    places: set[int] = set()
    for state in saved:
        require_mapping(state, "random")
        devices = state.get("cuda")
        devices = devices if isinstance(devices, list) else []
        # Many tensors of one storage are small in a file, but large as copies.
        own = [_memory(tensor) for tensor in (state.get("cpu"), *devices)]
        if len(places.union(own)) != len(places) + len(own):
            raise ValueError("random holds one state several times")
        places.update(own)
        like = {"cpu": some, "cuda": [some] * len(devices)}
        states.append(validated(state, like, "random", free=True))
        try:
            torch.Generator().set_state(states[-1]["cpu"])
        except RuntimeError as error:
            raise ValueError(f"random.cpu: {error}") from error
    return states


def _memory(value: Any) -> int:
    plain = type(value) is torch.Tensor and value.layout == torch.strided
    return value.untyped_storage().data_ptr() if plain else id(value)


def _environment(saved: Any, own: Mapping[str, Any]) -> State:
    """Short words and numbers, for a warning."""
    require_mapping(saved, "environment")
    known = {key: saved[key] for key in own if key in saved}
    for key, value in known.items():
        if not isinstance(value, int | str) or not re.fullmatch(r"[\w.+:-]{0,60}", str(value)):
            raise ValueError(f"environment.{key} is neither a word nor a number")
    return known
