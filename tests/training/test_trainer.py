"""The loop's promises: it learns, probes change nothing, bad batches are skipped."""

import math
import os
import signal

import pytest
import torch

from autoclip_sep.clipping import NonFiniteGradients
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.preemption import Interrupted
from tests.training.small_runs import everything, trainer


def test_a_signal_during_the_last_validation_is_heard(tmp_path, tiny_store, monkeypatch):
    def terminate(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        return 0.0, 0.0

    monkeypatch.setattr("autoclip_sep.training.trainer.validate", terminate)
    with pytest.raises(Interrupted, match="finished") as stop:  # which ends a sweep, too
        trainer(tmp_path, tiny_store, epochs=1).fit()
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert run_directory.read_state(tmp_path)["status"] == "finished"
    trainer(tmp_path, tiny_store, epochs=1).fit()


def test_a_probed_run_ends_with_the_same_bits(tmp_path, tiny_store, assert_same):
    trainer(tmp_path / "off", tiny_store, record_every=1000).fit()
    trainer(tmp_path / "on", tiny_store, record_every=1, probe_points=2).fit()
    off, on = everything(tmp_path / "off")[0], everything(tmp_path / "on")[0]
    assert_same(off["model"], on["model"])
    assert_same(off["random"], on["random"])
    assert len(records.read(tmp_path / "on" / "dynamics.csv")) == 9


def test_it_learns(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=12).fit()
    rows = records.read(tmp_path / "history.csv")
    assert float(rows[-1]["valid_si_sdr"]) > float(rows[0]["valid_si_sdr"]) + 3
    assert float(rows[-1]["valid_loss"]) < 0.8 * float(rows[0]["valid_loss"])
    assert [int(row["step"]) for row in rows] == [3 * n for n in range(1, 13)]


def test_a_bad_batch_is_skipped_and_counted(tmp_path, tiny_store):
    trainer(
        tmp_path, tiny_store, at=2, action=lambda loss: loss * math.nan, probe_points=0
    ).fit()  # fmt: skip
    state, _ = everything(tmp_path)
    assert state["recorder"]["skipped"] == 1
    assert len(state["clipper"]["history"]) == 8
    assert all(bool(torch.isfinite(value).all()) for value in state["model"].values())
    rows = records.read(tmp_path / "history.csv")
    assert [int(row["skipped"]) for row in rows] == [1, 1, 1]
    assert all(math.isfinite(float(row["train_loss"])) for row in rows)


def test_nothing_but_bad_batches_stops_the_run(tmp_path, tiny_store):
    run = trainer(tmp_path, tiny_store, epochs=20, probe_points=0, batch_size=1)
    with torch.no_grad():
        next(run.parts.model.parameters()).fill_(math.nan)
    with pytest.raises(NonFiniteGradients):
        run.fit()


def test_a_nan_validation_is_never_best(tmp_path, tiny_store, monkeypatch):
    monkeypatch.setattr(
        "autoclip_sep.training.trainer.validate", lambda *_, **__: (math.nan, math.nan)
    )
    run = trainer(tmp_path, tiny_store, epochs=2)
    run.fit()
    assert CheckpointFolder(tmp_path / "checkpoints").paths("best") == []
    assert run.parts.optimizer.param_groups[0]["lr"] == 0.01


def test_bf16_trains_and_records_finite_numbers(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=2, precision="bf16").fit()
    for row in records.read(tmp_path / "dynamics.csv"):
        assert math.isfinite(float(row["loss"]))
        assert float(row["smoothness"]) > 0


def test_workers_change_nothing(tmp_path, tiny_store, assert_same):
    trainer(tmp_path / "0", tiny_store, epochs=2).fit()
    trainer(tmp_path / "2", tiny_store, epochs=2, workers=2).fit()
    assert_same(everything(tmp_path / "0"), everything(tmp_path / "2"))


def test_a_run_with_its_samples_on_the_device_is_the_same_and_resumes(
    tmp_path, tiny_store, assert_same
):
    trainer(tmp_path / "0", tiny_store, epochs=2).fit()
    trainer(tmp_path / "1", tiny_store, epochs=2, store_on_device=True).fit(until=4)
    trainer(tmp_path / "1", tiny_store, epochs=2, store_on_device=True).fit()
    assert_same(everything(tmp_path / "0"), everything(tmp_path / "1"))
