"""What a branch's clipper, optimizer and schedule take over of its trunk's."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from autoclip_sep.clipping import AutoClip, Clipper, QuantileClipping, ZClip
from autoclip_sep.errors import InputError
from autoclip_sep.runs.checkpoint import State
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.state_check import fits_optimizer


def clipper(
    saved: State, norms: Sequence[float], new: Clipper, *, same_class: bool
) -> tuple[State, str]:
    """The state that a branch's clipper begins with, and a line about it.

    saved: the trunk's. norms: the gradient norms before the step, the latest 1,000 at most. A
    clipper of the same class goes on with its state: AutoClip's history when the percentile
    changes. AutoClip with one threshold, QuantileClipping and ZClip, whose memory is made of norms
    alone, otherwise begin as if they had seen those. All others begin anew.
    """
    unused = copy.deepcopy(new)
    if same_class:
        try:
            unused.load_state_dict(saved)
        except (KeyError, TypeError, ValueError):  # of another scope
            unused = copy.deepcopy(new)
        else:
            return saved, f"{new.label} goes on with the trunk's state"
    of_norms = isinstance(new, QuantileClipping | ZClip) or (
        isinstance(new, AutoClip) and new.scope == "global"
    )
    if not of_norms or not norms:
        return unused.state_dict(), f"{new.label} begins anew"
    one = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for norm in norms:
        one.grad = torch.tensor([norm], dtype=torch.float64)
        unused.clip_gradients([one])
    return unused.state_dict(), f"{new.label} has seen the {len(norms)} norms before"


def optimizer(saved: State, new: Optimizer, *, same_class: bool, same_rate: bool) -> State:
    """The state that a branch's optimizer begins with: the trunk's moments, its own settings.

    same_rate: whether the learning rate is the trunk's at the step; otherwise it is the optimizer's
    present one.
    """
    own = new.state_dict()
    groups: list[dict[str, Any]] = own["param_groups"]
    if same_rate:
        rates = [group["lr"] for group in saved["param_groups"]]
        groups = [{**group, "lr": rate} for group, rate in zip(groups, rates, strict=True)]
    state = {"param_groups": groups, "state": saved["state"]}
    whole = same_class and fits_optimizer(state, new)
    return state if whole else {**state, "state": {}}


def advance(
    schedule: Schedule, history: Sequence[Mapping[str, str]], epochs: int, steps: int
) -> None:
    """Bring a new schedule to where it would be, had it been the trunk's from the start.

    history: the rows of the trunk's history.csv. epochs, steps: done. Raises InputError where rows
    are missing.
    """
    for _ in range(steps if schedule.interval == "step" else 0):
        schedule.after_step()
    done = [row for row in history if int(row["step"]) <= steps]
    ends = {int(row["epoch"]): row for row in done if int(row["epoch"]) <= epochs}
    if len(ends) != epochs:
        raise InputError(f"history.csv has {len(ends)} of {epochs} epochs: a schedule can't go on")
    for row in done:
        numbers = {key: float(value) for key, value in row.items()}
        schedule.after_validation(numbers, ends_epoch=ends.get(int(row["epoch"])) is row)
