"""The loop's promises: exact resume, order, probes that change nothing, skips, interruption."""

import math
import os
import shutil
import signal
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from autoclip_sep.clipping import ALRC, AutoClip, NoClipping, NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.losses.mask_inference import MaskInference
from autoclip_sep.models.separator import Separator
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.stft import STFT
from autoclip_sep.training.loggers import NoLogger
from autoclip_sep.training.preemption import Interrupted
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings
from autoclip_sep.training.trainer import Parts, Trainer

SCHEDULES = {  # an epoch of the store has few steps: rates change within it and between them
    "plateau": (partial(ReduceLROnPlateau, factor=0.5, patience=0), "epoch", "valid_loss"),
    "si_sdr": (partial(ReduceLROnPlateau, patience=0, mode="max"), "epoch", "valid_si_sdr"),
    "constant": (partial(ConstantLR, factor=1.0, total_iters=0),),
    "cosine": (partial(CosineAnnealingLR, T_max=3), "epoch"),
    "cosine by steps": (partial(CosineAnnealingLR, T_max=20), "step"),
    "step": (partial(StepLR, step_size=1, gamma=0.5), "epoch"),
    "warmup_cosine": (
        partial(
            SequentialLR,
            schedulers=[partial(LinearLR, total_iters=3), partial(CosineAnnealingLR, T_max=20)],
            milestones=[3],
        ),
        "step",
    ),
}
CLIPPERS = {"none": NoClipping, "autoclip": lambda: AutoClip(25), "alrc": ALRC}


class Stop(Exception):
    """A crash, from the test."""


class Hooked(MaskInference):
    """The loss with something done at its n-th call in training."""

    def __init__(self, stft, at=None, action=None):
        super().__init__(stft)
        self.calls, self.at, self.action = 0, at, action

    def __call__(self, estimate, batch):
        loss = super().__call__(estimate, batch)
        if torch.is_grad_enabled():
            self.calls += 1
            if self.calls == self.at:
                return self.action(loss)
        return loss


def trainer(
    directory, store, clipper="autoclip", *, epochs=3, at=None, action=None, schedule="plateau",
    **settings,
):  # fmt: skip
    torch.manual_seed(5)
    stft = STFT()
    model = Separator(stft, ["masks"], hidden=8, layers=2, dropout=0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    make, *when = SCHEDULES[schedule]
    parts = Parts(
        model, Hooked(stft, at, action), CLIPPERS[clipper](), optimizer,
        Schedule(make, optimizer, *when), stft, store.split("train"), store.split("valid"),
        NoLogger(),
    )  # fmt: skip
    defaults = {"record_every": 2, "batch_size": 4, "excerpt": 3200, "progress": False}
    numbers = Settings(epochs=epochs, **{**defaults, **settings})
    return Trainer(parts, numbers, directory, 3, torch.device("cpu"))


def everything(directory):
    """All that a run leaves, its timing and its environment aside."""
    state, _ = CheckpointFolder(directory / "checkpoints").newest("last")
    files = {
        name: (directory / f"{name}.csv").read_text(encoding="utf-8")
        for name in ("dynamics", "spikes", "history")
    }
    state.pop("environment")
    return state, files


def crash(_):
    raise Stop


@pytest.mark.parametrize("clipper", CLIPPERS)
@pytest.mark.parametrize("at", [1, 6, 9], ids=["first batch", "mid-epoch", "after an epoch"])
def test_a_crashed_run_goes_on_to_the_same_bits(tmp_path, tiny_store, clipper, at, assert_same):
    trainer(tmp_path / "straight", tiny_store, clipper, checkpoint_every=2).fit()
    broken = trainer(
        tmp_path / "broken", tiny_store, clipper, checkpoint_every=2, at=at, action=crash
    )
    with pytest.raises(Stop):
        broken.fit()
    trainer(tmp_path / "broken", tiny_store, clipper, checkpoint_every=2).fit()
    assert_same(everything(tmp_path / "straight"), everything(tmp_path / "broken"))


@pytest.mark.parametrize("lost", ["random", "optimizer", "clipper"])
def test_the_test_of_resume_can_fail(tmp_path, tiny_store, lost, monkeypatch, assert_same):
    """Without generators, moments or clip history the bits differ: negative controls."""
    trainer(tmp_path / "straight", tiny_store, probe_points=0).fit()
    trainer(tmp_path / "resumed", tiny_store, epochs=1, probe_points=0).fit()
    second = trainer(tmp_path / "resumed", tiny_store, probe_points=0)
    if lost == "random":
        monkeypatch.setattr("autoclip_sep.random_state.restore", lambda state: None)
    elif lost == "optimizer":
        second.parts.optimizer.load_state_dict = lambda state: None
    else:
        second.parts.clipper.load_state_dict = lambda state: None
    second.fit()
    with pytest.raises(AssertionError):
        assert_same(everything(tmp_path / "straight"), everything(tmp_path / "resumed"))


def test_sigterm_saves_and_the_run_goes_on(tmp_path, tiny_store, assert_same):
    def terminate(loss):
        os.kill(os.getpid(), signal.SIGTERM)
        return loss

    trainer(tmp_path / "straight", tiny_store).fit()
    with pytest.raises(Interrupted) as stop:
        trainer(tmp_path / "stopped", tiny_store, at=5, action=terminate, probe_points=0).fit()
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert (tmp_path / "stopped" / "state.json").read_text().count("interrupted") == 1
    trainer(tmp_path / "stopped", tiny_store).fit()
    assert_same(everything(tmp_path / "straight")[0], everything(tmp_path / "stopped")[0])


def test_stopped_at_an_epochs_last_step_it_still_validates_once(tmp_path, tiny_store, assert_same):
    def terminate(loss):
        os.kill(os.getpid(), signal.SIGTERM)
        return loss

    trainer(tmp_path / "straight", tiny_store).fit()
    with pytest.raises(Interrupted, match="step 3"):
        trainer(tmp_path / "stopped", tiny_store, at=3, action=terminate, probe_points=0).fit()
    with pytest.raises(Stop):  # goes on, ends epoch 1, and crashes in the first step of epoch 2
        trainer(tmp_path / "stopped", tiny_store, at=1, action=crash).fit()
    trainer(tmp_path / "stopped", tiny_store).fit()
    straight, stopped = everything(tmp_path / "straight"), everything(tmp_path / "stopped")
    assert_same(straight[0], stopped[0])
    assert straight[1]["history"] == stopped[1]["history"]


def test_a_signal_during_the_last_validation_is_heard(tmp_path, tiny_store, monkeypatch):
    def terminate(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        return 0.0, 0.0

    monkeypatch.setattr("autoclip_sep.training.trainer.validate", terminate)
    with pytest.raises(Interrupted, match="finished") as stop:  # or a sweep would go on
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


def test_more_epochs_go_on_from_a_finished_run(tmp_path, tiny_store, assert_same):
    trainer(tmp_path / "straight", tiny_store).fit()
    trainer(tmp_path / "grown", tiny_store, epochs=2).fit()
    trainer(tmp_path / "grown", tiny_store, epochs=3).fit()
    assert_same(everything(tmp_path / "straight"), everything(tmp_path / "grown"))


def test_a_damaged_checkpoint_falls_back(tmp_path, tiny_store, capsys, assert_same):
    trainer(tmp_path / "straight", tiny_store).fit()
    trainer(tmp_path / "damaged", tiny_store, epochs=2).fit()
    newest = CheckpointFolder(tmp_path / "damaged" / "checkpoints").paths("last")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    trainer(tmp_path / "damaged", tiny_store).fit()
    assert f"{newest.name} is damaged" in capsys.readouterr().out
    assert newest.with_name(newest.name + ".damaged").exists()
    assert_same(everything(tmp_path / "straight"), everything(tmp_path / "damaged"))


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


def test_the_examples_of_a_bad_batch_are_named_once_after_a_resume_too(
    tmp_path, tiny_store, assert_same
):
    def spoil(loss):
        return loss * torch.tensor([1.0, 1.0, math.nan, 1.0])

    def run(name, at):
        settings = {"checkpoint_every": 2, "probe_points": 0}
        trainer(tmp_path / name, tiny_store, at=at, action=spoil, **settings).fit()

    run("straight", 9)
    run("again", 9)
    CheckpointFolder(tmp_path / "again" / "checkpoints").paths("last")[-1].unlink()
    run("again", 1)  # from step 8 on, the ninth once more
    assert_same(everything(tmp_path / "straight"), everything(tmp_path / "again"))
    rows = records.read(tmp_path / "again" / "spikes.csv")
    batch = trainer(tmp_path / "straight", tiny_store).loader
    (*_, last) = batch.epoch(3)
    assert tuple(row["item"] for row in rows) == last.items
    assert [math.isnan(float(row["loss"])) for row in rows] == [False, False, True, False]
    assert {(row["step"], row["epoch"], row["grad_norm"]) for row in rows} == {("9", "3", "nan")}


def test_a_run_that_began_before_spikes_were_looked_for_goes_on(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=1).fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    state, _ = folder.newest("last")
    del state["spikes"]
    folder.save("last", 3, 1, state)
    (tmp_path / "spikes.csv").unlink()
    trainer(tmp_path, tiny_store, epochs=2).fit()
    assert len(records.read(tmp_path / "history.csv")) == 2
    assert (tmp_path / "spikes.csv").is_file()


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


@pytest.mark.parametrize("place", ["weight", "buffer", "moment"])
def test_a_network_with_a_nan_is_never_saved_best_or_finished(tmp_path, tiny_store, place):
    def poison(loss):
        model, optimizer = run.parts.model, run.parts.optimizer
        with torch.no_grad():
            if place == "weight":  # that no loss depends on
                model.register_parameter("spare", torch.nn.Parameter(torch.tensor(math.nan)))
            elif place == "buffer":
                model.norm.running_mean.data[0] = math.nan
            else:
                next(iter(optimizer.state.values()))["exp_avg_sq"][0] = math.inf
        return loss

    run = trainer(tmp_path, tiny_store, at=5, action=poison, probe_points=0)
    with pytest.raises(InputError, match=r"(model|optimizer)\..* is not finite at step 6"):
        run.fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert [path.name for path in folder.paths("last")] == ["last-000000003-00001.pt"]
    assert [path.name for path in folder.paths("best")] == ["best-000000003-00001.pt"]
    assert run_directory.read_state(tmp_path)["status"] != "finished"


@pytest.mark.parametrize("gone", ["all", "records", "all, made again"])
def test_a_run_whose_directory_is_deleted_is_not_finished(tmp_path, tiny_store, gone):
    def delete(loss):
        shutil.rmtree(directory)
        if gone == "records":
            (directory / "checkpoints").mkdir(parents=True)
        elif gone == "all, made again":
            trainer(directory, tiny_store, epochs=1).fit()
        return loss

    directory = tmp_path / "run"
    with pytest.raises(InputError, match=r"run\b.*(deleted|No such file)"):
        trainer(directory, tiny_store, epochs=1, at=2, action=delete).fit()
    assert directory.exists() == (gone != "all")
    assert (run_directory.read_state(directory).get("status") == "finished") == ("made" in gone)


def test_what_a_killed_save_left_is_swept_by_the_next_start(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=1).fit()
    folder = tmp_path / "checkpoints"
    left = [
        folder / ".last-000000006-00002.pt.4242.tmp",
        folder / ".last-000000006-00002.pt.sha256.4242.tmp",
        folder / "last-000000006-00002.pt.sha256",
        tmp_path / ".state.json.17.tmp",
    ]
    kept = [folder / ".mine.tmp", tmp_path / "notes.12.tmp", folder / "thesis.pt.sha256"]
    for path in [*left, *kept]:
        path.write_bytes(b"x" * 1000)
    trainer(tmp_path, tiny_store, epochs=2).fit()
    digest = folder / "last-000000006-00002.pt.sha256"
    assert [path for path in left if path.exists()] == [digest]  # its checkpoint was made again
    assert digest.read_text().endswith("last-000000006-00002.pt\n")
    assert all(path.exists() for path in kept)


def test_records_without_their_checkpoints_are_not_overwritten(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store).fit()
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    before = (tmp_path / "dynamics.csv").read_bytes()
    with pytest.raises(InputError, match="no checkpoint to go on from"):
        trainer(tmp_path, tiny_store).fit()
    assert (tmp_path / "dynamics.csv").read_bytes() == before


def test_another_networks_checkpoint_is_refused(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=1).fit()
    other = trainer(tmp_path, tiny_store)
    other.parts.model = Separator(STFT(), ["masks"], hidden=9, layers=2)
    with pytest.raises(InputError, match="not of this run"):
        other.fit()


def test_broken_optimizer_state_is_refused(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=1).fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    state, _ = folder.newest("last")
    next(iter(state["optimizer"]["state"].values()))["exp_avg"].fill_(math.inf)
    folder.save("last", 4, 2, state)
    with pytest.raises(InputError, match=r"exp_avg .* not finite"):
        trainer(tmp_path, tiny_store).fit()


def test_bf16_trains_and_records_finite_numbers(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=2, precision="bf16").fit()
    for row in records.read(tmp_path / "dynamics.csv"):
        assert math.isfinite(float(row["loss"]))
        assert float(row["smoothness"]) > 0


def test_workers_change_nothing(tmp_path, tiny_store, assert_same):
    trainer(tmp_path / "0", tiny_store, epochs=2).fit()
    trainer(tmp_path / "2", tiny_store, epochs=2, workers=2).fit()
    assert_same(everything(tmp_path / "0"), everything(tmp_path / "2"))
