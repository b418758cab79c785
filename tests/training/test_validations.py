"""Validation within epochs and early stopping: rows, schedule, best checkpoint, exact resume."""

import math
import os
import signal

import pytest

from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.preemption import Interrupted
from autoclip_sep.training.validations import Validations
from tests.training.small_runs import Stop, crash, everything, trainer

EVERY = {"validate_every": 2, "probe_points": 0}
STEPS = [2, 3, 4, 6, 8, 9]  # of epochs of 3 steps, validated every 2 steps and at their ends


def rows_of(run):
    return records.read(run / "history.csv")


def scripted(monkeypatch, losses):
    """Validations find these losses, one after the other."""
    left = iter(losses)
    monkeypatch.setattr(
        "autoclip_sep.training.trainer.validate", lambda *_, **__: (next(left), 0.0)
    )


def test_a_row_a_validation_whose_numbers_are_of_the_steps_since_the_last(
    tmp_path, tiny_store, assert_same
):
    trainer(tmp_path / "ends", tiny_store, schedule="constant", probe_points=0).fit()
    trainer(tmp_path / "more", tiny_store, schedule="constant", **EVERY).fit()
    ends, more = rows_of(tmp_path / "ends"), rows_of(tmp_path / "more")
    assert [int(row["step"]) for row in more] == STEPS
    assert [int(row["epoch"]) for row in more] == [1, 1, 2, 2, 3, 3]
    # The weights, and so what is validated at the epochs' ends, don't depend on more validations.
    whole, divided = (everything(tmp_path / name)[0] for name in ("ends", "more"))
    assert divided.pop("validations") == {"step": 9, "since_best": 0}
    divided["best"] = whole["best"]
    assert_same(whole, divided)
    at_ends = [row for row in more if int(row["step"]) % 3 == 0]
    for one, other in zip(ends, at_ends, strict=True):
        assert (one["valid_loss"], one["lr"]) == (other["valid_loss"], other["lr"])
    for epoch, one in enumerate(ends):
        parts = [row for row in more if int(row["epoch"]) == epoch + 1]
        steps = [int(row["step"]) - 3 * epoch for row in parts]
        weights = [step - before for before, step in zip([0, *steps], steps, strict=False)]
        for column in ("train_loss", "clipped_share"):
            sums = (float(row[column]) * n for row, n in zip(parts, weights, strict=True))
            assert sum(sums) / 3 == pytest.approx(float(one[column])), column


def test_plateaus_and_the_best_checkpoint_follow_all_validations(tmp_path, tiny_store, monkeypatch):
    scripted(monkeypatch, [3.0, 4.0, 2.0, 5.0, 6.0, 7.0])
    trainer(tmp_path, tiny_store, schedule="plateau", **EVERY).fit()  # patience 0, factor 0.5
    rates = [float(row["lr"]) / 0.01 for row in rows_of(tmp_path)]
    assert rates == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.125])
    best = CheckpointFolder(tmp_path / "checkpoints").paths("best")[-1]
    assert best.name == "best-000000004-00001.pt"  # one epoch is over


def test_other_schedules_follow_epochs(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, schedule="step", **EVERY).fit()
    rates = [float(row["lr"]) / 0.01 for row in rows_of(tmp_path)]
    assert rates == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.25])


@pytest.mark.parametrize("at", [1, 3, 5, 6, 9])
@pytest.mark.parametrize("how", ["crash", "signal"])
def test_resume_is_exact(tmp_path, tiny_store, straight, at, how, assert_same):
    """Also from a checkpoint whose step has its validation still to come."""

    def terminate(loss):
        os.kill(os.getpid(), signal.SIGTERM)
        return loss

    settings = {**EVERY, "patience": 4, "schedule": "plateau"}
    action, stop = (crash, Stop) if how == "crash" else (terminate, Interrupted)
    with pytest.raises(stop):
        trainer(
            tmp_path, tiny_store, at=at, action=action, checkpoint_every=1, **settings
        ).fit()  # fmt: skip
    trainer(tmp_path, tiny_store, **settings).fit()
    assert_same(everything(straight(**settings)), everything(tmp_path))


def test_it_stops_after_so_many_validations_without_a_new_best(
    tmp_path, tiny_store, monkeypatch, capsys
):
    scripted(monkeypatch, [3.0, 2.0, math.nan, 2.5, 2.0, 1.0])
    trainer(tmp_path, tiny_store, patience=3, epochs=9).fit()
    state = run_directory.read_state(tmp_path)
    assert (state["status"], state["step"], state["epochs"]) == ("finished", 15, 5)
    assert state["reason"] == "no lower validation loss in 3 validations (trainer.patience)"
    assert len(rows_of(tmp_path)) == 5
    trainer(tmp_path, tiny_store, patience=3, epochs=9).fit()  # nothing is left to do
    assert len(rows_of(tmp_path)) == 5
    assert "resuming from step 15" in capsys.readouterr().out


def test_the_count_goes_on_after_a_resume(tmp_path, tiny_store, monkeypatch):
    losses = [3.0, 4.0, 5.0, 6.0, 7.0]
    scripted(monkeypatch, losses)
    trainer(tmp_path, tiny_store, patience=4, epochs=3).fit()
    assert "reason" not in run_directory.read_state(tmp_path)
    scripted(monkeypatch, losses[3:])
    trainer(tmp_path, tiny_store, patience=4, epochs=9).fit()
    assert run_directory.read_state(tmp_path)["epochs"] == 5


def test_steps_left():
    plan = Validations(every=5)
    assert [plan.steps_left(step, 100) for step in (0, 1, 4, 6)] == [5, 4, 1, 4]
    assert plan.steps_left(5, 100) == 0  # due
    plan.done(5, better=True)
    assert plan.steps_left(5, 100) == 5
    assert plan.steps_left(6, 2) == 2
    assert plan.steps_left(6, 100, until=8) == 2
    assert Validations().steps_left(7, 9) == 9
