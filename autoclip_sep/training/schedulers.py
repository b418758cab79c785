"""Learning-rate schedules of torch, stepped by batch or by epoch as in Lightning."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from autoclip_sep.errors import InputError

INTERVALS = ("step", "epoch")


class Schedule:
    """A schedule, stepped once a batch or once an epoch.

    make: called with ``optimizer=``; schedules inside it (of SequentialLR) are partials, too.
    interval: "step", after every batch, even one whose step is skipped, so that the rate is a
    function of the number of batches; or "epoch", after the validation at its end. monitor: the
    column of history.csv for ReduceLROnPlateau, which is stepped after every validation; no other
    schedule has one.

    Raises ValueError where these don't fit together.
    """

    def __init__(
        self,
        make: Callable[..., LRScheduler],
        optimizer: Optimizer,
        interval: str = "epoch",
        monitor: str | None = None,
    ) -> None:
        if interval not in INTERVALS:
            raise ValueError(f"interval must be step or epoch, not {interval!r}")
        self.scheduler: LRScheduler = _made(partial(make), optimizer)
        if not isinstance(self.scheduler, LRScheduler):
            raise TypeError("it must be a torch.optim.lr_scheduler.LRScheduler")
        if isinstance(self.scheduler, ReduceLROnPlateau) != (monitor is not None):
            raise ValueError(
                f"monitor={monitor!r}: ReduceLROnPlateau needs one, and no other schedule has one"
            )
        if monitor is not None and interval != "epoch":
            raise ValueError(f"{monitor} is known once a validation: interval must be epoch")
        self.interval, self.monitor = interval, monitor
        # torch takes a skipped first step for a call in the wrong order.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")

    def check_length(self, epochs: int, steps: int) -> None:
        """Raises InputError where OneCycleLR ends before so many epochs of so many steps."""
        if not isinstance(self.scheduler, OneCycleLR):  # others go on past a total_steps of theirs
            return
        wanted = epochs * (steps if self.interval == "step" else 1)
        total = self.scheduler.total_steps
        if total < wanted:
            raise InputError(
                f"scheduler.total_steps={total}: trainer.epochs={epochs} needs {wanted}, stepped "
                f"once for each {'batch' if self.interval == 'step' else 'epoch'}"
            )

    def after_step(self) -> None:
        """Set the rate of the next batch."""
        if self.interval == "step":
            self._step()

    def after_validation(self, row: Mapping[str, Any], *, ends_epoch: bool = True) -> None:
        """Set the rate of the next steps.

        row: of history.csv; a monitored value of NaN changes nothing. ends_epoch: whether it is the
        validation at an epoch's end.
        """
        if self.interval != "epoch":
            return
        if self.monitor is None:
            if ends_epoch:
                self._step()
        elif not math.isnan(value := row[self.monitor]):
            self.scheduler.step(value)

    def _step(self) -> None:
        try:
            self.scheduler.step()
        except ValueError as error:  # OneCycleLR, inside another schedule, past its total_steps
            raise InputError(f"scheduler: {error}") from error

    def state_dict(self) -> dict[str, Any]:
        """The state of torch's schedule: plain numbers, for exact resume."""
        return dict(self.scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.scheduler.load_state_dict(state)


def _made(value: Any, optimizer: Optimizer) -> Any:
    """A partial called with the optimizer, those inside it first."""
    if isinstance(value, list):
        return [_made(inner, optimizer) for inner in value]
    if not isinstance(value, partial):
        return value
    inner = {key: _made(argument, optimizer) for key, argument in value.keywords.items()}
    return value.func(*value.args, optimizer=optimizer, **inner)


def try_optimizer(make: Callable[..., Optimizer]) -> Optimizer:
    """An optimizer of one weight that has taken a step.

    Raises torch's exception for an optimizer or settings that can't step in this loop.
    """
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    weight.grad = torch.zeros(1, 1)
    optimizer = make([weight])
    optimizer.step()
    return optimizer


def try_schedule(schedule: Schedule, row: Mapping[str, Any]) -> Schedule:
    """An unused schedule, stepped once.

    row: of history.csv. Raises torch's exception for settings that can't be stepped with, and
    ValueError for an unknown column and for an invalid learning rate.
    """
    if schedule.monitor not in (None, *row):
        raise ValueError(f"monitor must be one of {', '.join(row)}, not {schedule.monitor!r}")
    schedule.scheduler.optimizer.step()
    schedule.after_step()
    schedule.after_validation(row)
    rates = [float(group["lr"]) for group in schedule.scheduler.optimizer.param_groups]
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise ValueError(f"the learning rate becomes {rates[0]}")
    return schedule
