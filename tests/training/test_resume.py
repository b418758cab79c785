"""Saved runs: exact resume, interruption, damaged and foreign checkpoints."""

import math
import os
import shutil
import signal

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.preemption import Interrupted
from tests.training.small_runs import CLIPPERS, Stop, crash, everything, trainer


@pytest.mark.parametrize("clipper", CLIPPERS)
@pytest.mark.parametrize("at", [1, 6, 9], ids=["first batch", "mid-epoch", "after an epoch"])
def test_a_crashed_run_goes_on_to_the_same_bits(
    tmp_path, tiny_store, straight, clipper, at, assert_same
):
    with pytest.raises(Stop):
        trainer(tmp_path, tiny_store, clipper, checkpoint_every=2, at=at, action=crash).fit()
    trainer(tmp_path, tiny_store, clipper, checkpoint_every=2).fit()
    assert_same(everything(straight(clipper)), everything(tmp_path))


@pytest.mark.parametrize("lost", ["random", "optimizer", "clipper"])
def test_the_test_of_resume_can_fail(
    tmp_path, tiny_store, straight, lost, monkeypatch, assert_same
):
    """Without generators, moments or clip history the bits differ: negative controls."""
    trainer(tmp_path, tiny_store, epochs=1, probe_points=0).fit()
    second = trainer(tmp_path, tiny_store, probe_points=0)
    if lost == "random":
        monkeypatch.setattr("autoclip_sep.random_state.restore", lambda state: None)
    else:
        getattr(second.parts, lost).load_state_dict = lambda state: None
    second.fit()
    with pytest.raises(AssertionError):
        assert_same(everything(straight(probe_points=0)), everything(tmp_path))


def terminate(loss):
    os.kill(os.getpid(), signal.SIGTERM)
    return loss


def test_sigterm_saves_and_the_run_goes_on(tmp_path, tiny_store, straight, assert_same):
    with pytest.raises(Interrupted) as stop:
        trainer(tmp_path, tiny_store, at=5, action=terminate, probe_points=0).fit()
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert run_directory.read_state(tmp_path)["status"] == "interrupted"
    trainer(tmp_path, tiny_store).fit()
    assert_same(everything(straight())[0], everything(tmp_path)[0])


def test_stopped_at_an_epochs_last_step_it_still_validates_once(
    tmp_path, tiny_store, straight, assert_same
):
    with pytest.raises(Interrupted, match="step 3"):
        trainer(tmp_path, tiny_store, at=3, action=terminate, probe_points=0).fit()
    with pytest.raises(Stop):  # resumes, ends epoch 1, and crashes in the first step of epoch 2
        trainer(tmp_path, tiny_store, at=1, action=crash).fit()
    trainer(tmp_path, tiny_store).fit()
    expected, found = everything(straight()), everything(tmp_path)
    assert_same(expected[0], found[0])
    assert expected[1]["history"] == found[1]["history"]


def test_more_epochs_go_on_from_a_finished_run(tmp_path, tiny_store, straight, assert_same):
    trainer(tmp_path, tiny_store, epochs=2).fit()
    trainer(tmp_path, tiny_store, epochs=3).fit()
    assert_same(everything(straight()), everything(tmp_path))


def test_a_damaged_checkpoint_falls_back(tmp_path, tiny_store, straight, capsys, assert_same):
    trainer(tmp_path, tiny_store, epochs=2).fit()
    newest = CheckpointFolder(tmp_path / "checkpoints").paths("last")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    trainer(tmp_path, tiny_store).fit()
    assert f"{newest.name} is damaged" in capsys.readouterr().out
    assert newest.with_name(newest.name + ".damaged").exists()
    assert_same(everything(straight()), everything(tmp_path))


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


def test_records_without_their_checkpoints_are_not_overwritten(tmp_path, tiny_store, straight):
    run = shutil.copytree(straight(), tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    before = (run / "dynamics.csv").read_bytes()
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        trainer(run, tiny_store).fit()
    assert (run / "dynamics.csv").read_bytes() == before


def test_another_networks_checkpoint_is_refused(tmp_path, tiny_store, straight):
    run = shutil.copytree(straight(), tmp_path / "run")
    with pytest.raises(InputError, match="not of this run"):
        trainer(run, tiny_store, network={"hidden": 9}).fit()


def test_broken_optimizer_state_is_refused(tmp_path, tiny_store, straight):
    run = shutil.copytree(straight(), tmp_path / "run")
    folder = CheckpointFolder(run / "checkpoints")
    state, _ = folder.newest("last")
    next(iter(state["optimizer"]["state"].values()))["exp_avg"].fill_(math.inf)
    folder.save("last", 10, 3, state)
    with pytest.raises(InputError, match=r"exp_avg .* not finite"):
        trainer(run, tiny_store).fit()
