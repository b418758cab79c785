"""Two processes on this machine: the same data, the same thresholds, exact resume."""

import json
import math
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
import torch

from autoclip_sep.data.loading.segments import epoch_plan
from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint, records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training import distributed
from tests.commands import ENVIRONMENT

PROGRAM = """
import json, os, sys, torch
from pathlib import Path
from autoclip_sep.data.store.reading import Store
from autoclip_sep.training import distributed
from tests.training.small_runs import trainer

directory, store, stop, settings = json.loads(sys.argv[1])
torch.set_num_threads(1)

def act(loss):
    if stop == "crash":
        raise RuntimeError("a crash, from the test")
    if distributed.rank() == 1:
        if stop == "nan":
            return loss * float("nan")
        os.kill(os.getpid(), stop)
    return loss

# The loss is called three times in each of the first two steps, twice by the recorder.
at = {None: None, "nan": 1}.get(stop, 7)
with distributed.process_group(torch.device("cpu")):
    trainer(Path(directory), Store(store), at=at, action=act, **settings).fit()
# Threads of a group that something still holds abort the process at its end, now and then.
threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in threads if "gloo" in name], threads
"""


def train(directory, store, world, stop=None, **settings):
    """Run the program in `world` processes; the rows of its dynamics.csv."""
    settings = {"epochs": 2, "record_every": 1, "checkpoint_every": 2, **settings}
    program = directory.with_suffix(".py")
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone",
              f"--nproc-per-node={world}"] if world > 1 else [sys.executable]  # fmt: skip
    arguments = json.dumps([str(directory), str(store.folder), stop, settings])
    done = subprocess.run(
        [*launch, str(program), arguments], capture_output=True, text=True,
        check=False, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode == 0) is (stop in (None, "nan")), done.stderr
    directory.with_suffix(".log").write_text(done.stdout)
    return records.read(directory / "dynamics.csv")


def final_state(directory):
    state = checkpoint.load(CheckpointFolder(directory / "checkpoints").paths("last")[-1])
    del state["environment"]
    return state


@pytest.fixture(scope="module")
def straight(tmp_path_factory, tiny_store):
    """An uninterrupted run of two epochs in two processes."""
    directory = tmp_path_factory.mktemp("straight") / "run"
    train(directory, tiny_store, 2)
    return directory


@pytest.fixture(scope="module")
def first_epoch(tmp_path_factory, tiny_store):
    """The first epoch of that run."""
    directory = tmp_path_factory.mktemp("first_epoch") / "run"
    train(directory, tiny_store, 2, epochs=1)
    return directory


@pytest.mark.parametrize(
    "environment",
    [{"MASTER_PORT": "12001"}, {"MASTER_ADDR": "localhost"},
     {"MASTER_ADDR": "no.such.host.invalid", "MASTER_PORT": "12001"}],
)  # fmt: skip
def test_a_meeting_point_of_nonsense_is_one_line(monkeypatch, environment):
    for name in ("MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed, "TIMEOUT", timedelta(seconds=2))
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", **environment}.items():
        monkeypatch.setenv(name, value)
    group = distributed.process_group(torch.device("cpu"))
    with pytest.raises(InputError, match="other processes can't be reached"), group:
        pass


def test_two_processes_train_as_one(tmp_path, tiny_store):
    """Without dropout and BatchNorm, which depend on the process, nothing differs."""
    network = {"dropout": 0.0, "batch_norm": False}
    one = train(tmp_path / "one", tiny_store, 1, network=network)
    two = train(tmp_path / "two", tiny_store, 2, network=network)
    assert len(one) == len(two) == 6
    epochs = (records.read(tmp_path / name / "history.csv") for name in ("one", "two"))
    for left, right in zip(*epochs, strict=True):
        for column in ("train_loss", "valid_loss", "valid_si_sdr", "clipped_share"):
            assert float(right[column]) == pytest.approx(float(left[column]), rel=2e-3), column
    for column in ("loss", "grad_norm", "threshold", "step_norm", "smoothness"):
        for left, right in zip(one, two, strict=True):
            assert float(right[column]) == pytest.approx(float(left[column]), rel=2e-3), column


def test_resume_of_two_processes_is_exact(tmp_path, tiny_store, straight, first_epoch, assert_same):
    run = shutil.copytree(first_epoch, tmp_path / "run")
    train(run, tiny_store, 2)
    assert_same(final_state(straight), final_state(run))


@pytest.mark.parametrize(
    "stop",
    ["crash", signal.SIGKILL, signal.SIGTERM],
    ids=["both crash", "one is killed", "one is asked to stop"],
)
def test_two_processes_stopped_in_mid_epoch_go_on_exactly(
    tmp_path, tiny_store, straight, stop, assert_same
):
    train(tmp_path / "run", tiny_store, 2, stop)
    state = run_directory.read_state(tmp_path / "run")
    saved = ("interrupted", 3) if stop == signal.SIGTERM else ("running", 2)
    assert (state["status"], state["step"]) == saved
    train(tmp_path / "run", tiny_store, 2)
    assert_same(final_state(straight), final_state(tmp_path / "run"))
    for name in ("dynamics.csv", "history.csv"):
        assert (straight / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_another_number_of_processes_goes_on_and_says_what_differs(
    tmp_path, tiny_store, first_epoch
):
    run = shutil.copytree(first_epoch, tmp_path / "run")
    rows = train(run, tiny_store, 1)
    warning = "warning: world was 2, is 1: the last bits will differ"
    assert warning in run.with_suffix(".log").read_text()
    assert len(rows) == 6


def test_a_bad_batch_in_one_process_is_skipped_by_both(tmp_path, tiny_store):
    rows = train(tmp_path / "bad", tiny_store, 2, "nan")
    state = final_state(tmp_path / "bad")
    assert state["recorder"]["skipped"] == 1
    assert len(state["clipper"]["history"]) == len(rows) - 1
    assert all(bool(value.isfinite().all()) for value in state["model"].values())
    spike = records.read(tmp_path / "bad" / "spikes.csv")  # the whole batch, and whose part is bad
    order, _ = epoch_plan(12, 3, 1)
    assert [row["item"] for row in spike] == [f"train{n}" for n in order[:4]]
    assert [math.isnan(float(row["loss"])) for row in spike] == [False, False, True, True]
