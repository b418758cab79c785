"""Schedules: which rate each step has, exactly after a resume too."""

import math
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.schedulers import Schedule
from tests.training.small_runs import SCHEDULES, Stop, crash, everything, trainer


def rates(directory):
    """The learning rate of every step."""
    return [float(row["lr"]) for row in records.read(directory / "dynamics.csv")]


def spoil(loss):
    return loss * float("nan")


EACH_STEP = {"checkpoint_every": 1, "record_every": 1, "probe_points": 0}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("at", [6, 9], ids=["mid-epoch", "after an epoch"])
def test_a_crashed_run_goes_on_at_the_same_rates(
    tmp_path, tiny_store, straight, schedule, at, assert_same
):
    how = {"schedule": schedule, **EACH_STEP}
    with pytest.raises(Stop):
        trainer(tmp_path, tiny_store, at=at, action=crash, **how).fit()
    trainer(tmp_path, tiny_store, **how).fit()
    assert_same(everything(straight(**how)), everything(tmp_path))
    if schedule not in ("plateau", "si_sdr"):  # which may find nothing to do
        assert (len(set(rates(straight(**how)))) > 1) == (schedule != "constant")


def test_the_test_of_rates_can_fail(tmp_path, tiny_store, straight):
    """A schedule that forgot where it was: a negative control."""
    how = {"schedule": "warmup_cosine", **EACH_STEP}
    trainer(tmp_path, tiny_store, epochs=1, **how).fit()
    second = trainer(tmp_path, tiny_store, **how)
    second.parts.scheduler.load_state_dict = lambda state: None
    second.fit()
    assert rates(straight(**how)) != rates(tmp_path)


def test_by_steps_the_rate_is_a_function_of_the_batch(tmp_path, tiny_store, recwarn):
    """Linear to the optimizer's rate at step 3, then half a cosine of 20 steps; a skipped step
    counts."""
    run = trainer(tmp_path, tiny_store, schedule="warmup_cosine", record_every=1, at=1,
                  action=spoil, probe_points=0)  # fmt: skip
    run.fit()
    assert run.recorder.skipped == 1
    assert not [one for one in recwarn if "lr_scheduler" in str(one.message)]
    warm = [0.01 * (1 + 2 * n / 3) / 3 for n in range(3)]
    count = run.recorder.steps - 3
    assert count >= 3
    cosine = [0.01 * (1 + math.cos(math.pi * n / 20)) / 2 for n in range(count)]
    assert rates(tmp_path) == pytest.approx([*warm, *cosine])


def test_by_epochs_the_rate_is_one_within_an_epoch(straight):
    expected = [rate for rate in (0.01, 0.005, 0.0025) for _ in range(3)]
    assert rates(straight(schedule="step", **EACH_STEP)) == expected


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)


def test_a_monitored_nan_moves_nothing():
    optimizer = sgd()
    make = partial(ReduceLROnPlateau, factor=0.5, patience=0)
    schedule = Schedule(make, optimizer, "epoch", "valid_loss")
    before = schedule.state_dict()
    schedule.after_validation({"valid_loss": float("nan")})
    schedule.after_step()
    assert schedule.state_dict() == before
    for loss, rate in ((1.0, 1.0), (2.0, 0.5), (0.5, 0.5), (float("inf"), 0.25)):
        schedule.after_validation({"valid_loss": loss})
        assert optimizer.param_groups[0]["lr"] == rate


def test_a_schedule_without_a_monitored_value_goes_on_after_a_nan():
    optimizer = sgd()
    schedule = Schedule(partial(LinearLR, start_factor=0.5, total_iters=1), optimizer)
    optimizer.step()
    schedule.after_validation({"valid_loss": float("nan")})
    assert optimizer.param_groups[0]["lr"] == 1.0


class Polynomial(LRScheduler):
    """Falls to 0 in `total_steps`, None for no end, and stays there."""

    def __init__(self, optimizer, total_steps):
        self.total_steps = total_steps
        super().__init__(optimizer)

    def get_lr(self):
        left = 1.0 if self.total_steps is None else 1 - self.last_epoch / self.total_steps
        return [rate * max(left, 0.0) for rate in self.base_lrs]


def test_only_a_cycle_must_be_as_long_as_the_run():
    cycle = Schedule(partial(OneCycleLR, max_lr=1.0, total_steps=6), sgd(), "step")
    cycle.check_length(epochs=2, steps=3)
    with pytest.raises(InputError, match=r"^scheduler.total_steps=6: trainer.epochs=3 needs 9"):
        cycle.check_length(epochs=3, steps=3)
    for total in (6, None):
        Schedule(partial(Polynomial, total_steps=total), sgd(), "step").check_length(3, 3)


@pytest.mark.parametrize(
    ("make", "when"),
    [
        (ReduceLROnPlateau, ("epoch",)),
        (ReduceLROnPlateau, ("step", "valid_loss")),
        (ConstantLR, ("epoch", "valid_loss")),
        (ConstantLR, ("batch",)),
    ],
)
def test_what_does_not_fit_together_is_refused(make, when):
    with pytest.raises(ValueError, match=r"epoch|monitor"):
        Schedule(make, sgd(), *when)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_constant_rate_had_no_state_in_older_runs(tmp_path, tiny_store, schedule):
    how = {"schedule": schedule, "probe_points": 0}
    trainer(tmp_path, tiny_store, epochs=1, **how).fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    state, _ = folder.newest("last")
    for path in folder.paths("last"):
        path.unlink()
    folder.save("last", 3, 1, {**state, "scheduler": {}})
    second = trainer(tmp_path, tiny_store, epochs=2, **how)
    refused = pytest.raises(InputError, match="not of this run: scheduler")
    with nullcontext() if schedule == "constant" else refused:
        second.fit()
    assert len(records.read(tmp_path / "history.csv")) == (2 if schedule == "constant" else 1)
