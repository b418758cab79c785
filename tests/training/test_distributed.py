"""Two processes on this machine: the same data, the same thresholds, exact resume."""

import json
import math
import signal
import subprocess
import sys

import pytest
import torch

from autoclip_sep.data.loading.segments import epoch_plan
from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint, records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.distributed import process_group
from autoclip_sep.training.settings import find_device
from tests.commands import ENVIRONMENT

PROGRAM = """
import json, os, sys, torch
from functools import partial
from pathlib import Path
from autoclip_sep.clipping import AutoClip
from autoclip_sep.data.store.reading import Store
from autoclip_sep.losses.mask_inference import MaskInference
from autoclip_sep.models.separator import Separator
from autoclip_sep.stft import STFT
from autoclip_sep.training import distributed
from autoclip_sep.training.loggers import NoLogger
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings
from autoclip_sep.training.trainer import Parts, Trainer

arguments = json.loads(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(5)
store, stft = Store(arguments["store"]), STFT()
model = Separator(stft, ["masks"], hidden=8, layers=2, dropout=arguments["dropout"],
                  batch_norm=arguments["batch_norm"])
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
settings = Settings(epochs=arguments["epochs"], record_every=1, checkpoint_every=2, batch_size=4,
                    segment=3200, progress=False)

class Losses(MaskInference):
    calls = 0  # three in each of the first two steps, which ask the recorder's closure twice

    def __call__(self, estimate, batch):
        loss = super().__call__(estimate, batch)
        self.calls += 1
        bad = arguments["bad"] and self.calls == 1 and distributed.rank() == 1
        if self.calls == 7 and arguments["crash"]:
            raise RuntimeError("a crash, from the test")
        if self.calls == 7 and arguments["signal"] and distributed.rank() == 1:
            os.kill(os.getpid(), arguments["signal"])
        return loss * float("nan") if bad else loss

plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=5)
schedule = Schedule(plateau, optimizer, "epoch", "valid_loss")

with distributed.process_group(torch.device("cpu")):
    parts = Parts(model, Losses(stft), AutoClip(25), optimizer, schedule, stft,
                  store.split("train"), store.split("valid"), NoLogger())
    Trainer(parts, settings, Path(arguments["directory"]), 3, torch.device("cpu")).fit()
"""


def train(
    directory, store, world, *, epochs=2, dropout=0.3, batch_norm=True, bad=False, crash=False,
    signal=0,
):  # fmt: skip
    arguments = {
        "store": str(store.folder), "directory": str(directory), "epochs": epochs,
        "dropout": dropout, "batch_norm": batch_norm, "bad": bad, "crash": crash, "signal": signal,
    }  # fmt: skip
    program = directory.with_suffix(".py")
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone",
              f"--nproc-per-node={world}"] if world > 1 else [sys.executable]  # fmt: skip
    done = subprocess.run(
        [*launch, str(program), json.dumps(arguments)], capture_output=True, text=True,
        check=False, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode == 0) is not bool(crash or signal), done.stderr
    directory.with_suffix(".log").write_text(done.stdout)
    return records.read(directory / "dynamics.csv")


def final_state(directory):
    state = checkpoint.load(CheckpointFolder(directory / "checkpoints").paths("last")[-1])
    del state["environment"]
    return state


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "first"}, "RANK='first'"),
        ({"RANK": ""}, "RANK=''"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK='-1'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 of WORLD_SIZE=2"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0"),
        ({"WORLD_SIZE": "2.0"}, "WORLD_SIZE='2.0'"),
        ({"WORLD_SIZE": "\u0662"}, "WORLD_SIZE="),
        ({"WORLD_SIZE": "2"}, "reached"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost"}, "reached"),
        (
            {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "x"},
            "reached",
        ),
    ],
)
def test_an_environment_of_nonsense_is_one_line(monkeypatch, environment, said):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said), process_group(torch.device("cpu")):
        pass


def test_the_gpu_of_a_local_rank_of_nonsense_is_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(ValueError, match="LOCAL_RANK='first'"):
        find_device("cuda")


def test_two_processes_train_as_one(tmp_path, tiny_store):
    """Without what draws or counts in a single process (dropout, BatchNorm) nothing differs."""
    one = train(tmp_path / "one", tiny_store, 1, dropout=0.0, batch_norm=False)
    two = train(tmp_path / "two", tiny_store, 2, dropout=0.0, batch_norm=False)
    assert len(one) == len(two) == 6
    epochs = (records.read(tmp_path / name / "history.csv") for name in ("one", "two"))
    for left, right in zip(*epochs, strict=True):
        for column in ("train_loss", "valid_loss", "valid_si_sdr", "clipped_share"):
            assert float(right[column]) == pytest.approx(float(left[column]), rel=2e-3), column
    for column in ("loss", "grad_norm", "threshold", "step_norm", "smoothness"):
        for left, right in zip(one, two, strict=True):
            assert float(right[column]) == pytest.approx(float(left[column]), rel=2e-3), column


def test_resume_of_two_processes_is_exact(tmp_path, tiny_store, assert_same):
    train(tmp_path / "straight", tiny_store, 2)
    train(tmp_path / "halves", tiny_store, 2, epochs=1)
    train(tmp_path / "halves", tiny_store, 2)
    assert_same(final_state(tmp_path / "straight"), final_state(tmp_path / "halves"))


@pytest.mark.parametrize(
    "stop",
    [{"crash": True}, {"signal": signal.SIGKILL}, {"signal": signal.SIGTERM}],
    ids=["both crash", "one is killed", "one is asked to stop"],
)
def test_two_processes_stopped_in_mid_epoch_go_on_exactly(tmp_path, tiny_store, stop, assert_same):
    train(tmp_path / "straight", tiny_store, 2)
    train(tmp_path / "crashed", tiny_store, 2, **stop)
    state = run_directory.read_state(tmp_path / "crashed")
    asked = stop.get("signal") == signal.SIGTERM
    assert (state["status"], state["step"]) == (("interrupted", 3) if asked else ("running", 2))
    train(tmp_path / "crashed", tiny_store, 2)
    assert_same(final_state(tmp_path / "straight"), final_state(tmp_path / "crashed"))
    for name in ("dynamics.csv", "history.csv"):
        one, other = (tmp_path / run / name for run in ("straight", "crashed"))
        assert one.read_bytes() == other.read_bytes()


def test_another_number_of_processes_goes_on_and_says_what_differs(tmp_path, tiny_store):
    train(tmp_path / "run", tiny_store, 2, epochs=1)
    rows = train(tmp_path / "run", tiny_store, 1)
    said = (tmp_path / "run.log").read_text()
    assert "warning: world was 2, is 1: the last bits will differ" in said
    assert len(rows) == 6


def test_a_bad_batch_in_one_process_is_skipped_by_both(tmp_path, tiny_store):
    rows = train(tmp_path / "bad", tiny_store, 2, bad=True)
    state = final_state(tmp_path / "bad")
    assert state["recorder"]["skipped"] == 1
    assert len(state["clipper"]["history"]) == len(rows) - 1
    assert all(bool(value.isfinite().all()) for value in state["model"].values())
    spike = records.read(tmp_path / "bad" / "spikes.csv")  # the whole batch, and whose part is bad
    order, _ = epoch_plan(12, 3, 1)
    assert [row["item"] for row in spike] == [f"train{n}" for n in order[:4]]
    assert [math.isnan(float(row["loss"])) for row in spike] == [False, False, True, True]
