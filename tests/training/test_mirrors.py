"""TensorBoard, MLflow and W&B side by side: what real runs write there, read back."""

import json
import signal
import sqlite3
import struct
import sys

import numpy as np
import pytest

from autoclip_sep.cli import compose
from autoclip_sep.cli.commands.train import logger_of
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from tests.commands import command
from tests.golden.make import TRAIN, only_run, write_corpus

FILES = ("dynamics", "history", "ema")
CHOSEN = "logger=[tensorboard,mlflow,wandb]"
USUAL = [*TRAIN, "trainer.ema_decay=0.9", "trainer.checkpoint_every=5"]


def rows_of(run):
    """Each number of a run's records by its name in a mirror: {name: [(step, value)]}."""
    found = {}
    for file in FILES:
        for row in records.read(run / f"{file}.csv"):
            for key, value in row.items():
                if key != "step":
                    place = found.setdefault(f"{file}/{key}", [])
                    place.append((int(row["step"]), float(value)))
    return found


def in_tensorboard(run):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = reader.EventAccumulator(str(run / "tensorboard"), {"scalars": 0})
    reader.Reload()
    return {
        tag: [(scalar.step, scalar.value) for scalar in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def in_mlflow(run, uri):
    """The metrics and the run itself."""
    client = pytest.importorskip("mlflow.tracking").MlflowClient(uri)
    found = client.get_run((run / "mlflow_run_id").read_text().strip())
    metrics = {}
    for key in found.data.metrics:
        history = client.get_metric_history(found.info.run_id, key)
        metrics[key] = sorted((one.step, one.value) for one in history)
    return metrics, found


def parts_of(path):
    """The records of W&B's file: 7 bytes, then LevelDB's format of logs."""
    content, place, whole = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while place < len(content):
        if (rest := 32768 - place % 32768) < 7:  # of a block
            place += rest
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        whole += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def in_wandb(run):
    record = pytest.importorskip("wandb.proto.wandb_internal_pb2").Record
    found = {}
    for path in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        for data in parts_of(path):
            one = record()
            one.ParseFromString(data)
            items = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in one.history.item
            }
            for key, value in items.items():
                if "/" in key:
                    found.setdefault(key, []).append((items["step"], float(value)))
    return found


def assert_mirrors(found, run, rtol=0.0):
    """Every number once, none more."""
    expected = rows_of(run)
    assert found.keys() == expected.keys()
    for key, pairs in expected.items():
        np.testing.assert_allclose(np.array(found[key]), np.array(pairs), rtol=rtol, err_msg=key)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus and a run without loggers."""
    place = tmp_path_factory.mktemp("mirrors")
    write_corpus(place / "corpus")
    command(place, "train.py", *USUAL, "runs=alone")
    return place


@pytest.fixture(scope="module")
def together(place):
    """A run with three loggers."""
    for package in ("tensorboard", "mlflow", "wandb"):
        pytest.importorskip(package, reason=f"{package} isn't installed: autoclip_sep[loggers]")
    return command(place, "train.py", *USUAL, CHOSEN, "logger.wandb.mode=offline", "runs=together")


def test_every_mirror_has_every_number_of_the_records(place, together):
    run = only_run(place / "together")
    assert "continues without it" not in together.stderr
    assert len(rows_of(run)["dynamics/loss"]) == 16
    assert len(rows_of(run)["ema/valid_loss"]) == 4
    assert_mirrors(in_tensorboard(run), run, rtol=1e-6)  # float32
    assert_mirrors(in_mlflow(run, f"sqlite:///{place}/together/mlflow.db")[0], run)
    assert_mirrors(in_wandb(run), run, rtol=1e-12)


def test_settings_and_state_are_told_to_mlflow(place, together):
    run = only_run(place / "together")
    found = in_mlflow(run, f"sqlite:///{place}/together/mlflow.db")[1]
    assert found.info.status == "FINISHED"
    assert found.data.params["optimizer.lr"] == "0.01"
    assert found.data.params["trainer.epochs"] == "4"


def test_loggers_change_nothing_of_a_run(place, together):
    for file in (*FILES, "spikes"):
        one, other = (only_run(place / runs) / f"{file}.csv" for runs in ("alone", "together"))
        assert one.read_bytes() == other.read_bytes()


KILLED = """
import os, signal
from autoclip_sep.cli.commands import train
from autoclip_sep.training.report import Report
step = Report.step
def then_die(self, row, sums):
    step(self, row, sums)
    if row["step"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
Report.step = then_die
train.main()
"""


def test_a_killed_run_that_goes_on_logs_no_row_twice(place):
    """Killed after step 7, with a checkpoint of step 5: steps 6 and 7 are computed again."""
    for package in ("tensorboard", "mlflow"):
        pytest.importorskip(package, reason=f"{package} isn't installed: autoclip_sep[loggers]")
    (place / "killed.py").write_text(KILLED)
    arguments = [*USUAL, "logger=[tensorboard,mlflow]", "runs=killed"]
    command(place, place / "killed.py", *arguments, check=-signal.SIGKILL)
    run = only_run(place / "killed")
    assert len(records.read(run / "dynamics.csv")) == 7
    command(place, "train.py", *arguments)
    assert len(list((run / "tensorboard").iterdir())) == 2
    assert_mirrors(in_tensorboard(run), run, rtol=1e-6)
    metrics, found = in_mlflow(run, f"sqlite:///{place}/killed/mlflow.db")
    assert_mirrors(metrics, run)
    assert found.info.status == "FINISHED"
    straight, again = (only_run(place / runs) / "dynamics.csv" for runs in ("alone", "killed"))
    assert straight.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("fault", ["no server", "no database"])
def test_one_that_fails_stops_neither_the_others_nor_the_run(place, together, fault):
    uri = "http://127.0.0.1:9"
    if fault == "no database":
        (place / "broken.db").write_text("this is no database " * 100)
        uri = f"sqlite:///{place}/broken.db"
    runs = place / fault.replace(" ", "-")
    how = ["logger=[mlflow,tensorboard]", f"logger.mlflow.tracking_uri='{uri}'",
           "logger.mlflow.timeout=1"]  # fmt: skip
    done = command(place, "train.py", *USUAL, *how, f"runs={runs}")
    lines = [line for line in done.stderr.split("\n") if "continues without it" in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("MlflowLogger: cannot start (")
    assert_mirrors(in_tensorboard(only_run(runs)), only_run(runs), rtol=1e-6)
    one, other = (only_run(place / name) / "dynamics.csv" for name in ("alone", runs.name))
    assert one.read_bytes() == other.read_bytes()


def test_a_database_that_goes_in_the_middle_is_one_line(tmp_path, capsys):
    pytest.importorskip("mlflow", reason="mlflow isn't installed: autoclip_sep[loggers]")
    config = {"logger": {"mlflow": composed("logger=mlflow")["logger"]["mlflow"]},
              "runs": str(tmp_path)}  # fmt: skip
    logger = logger_of(config)
    (tmp_path / "run").mkdir()
    logger.start(tmp_path / "run", config)
    logger.log("dynamics", {"step": 1, "loss": 1.0})
    database = sqlite3.connect(tmp_path / "mlflow.db")
    database.execute("DROP TABLE metrics")
    database.commit()
    for step in (2, 3):
        logger.log("dynamics", {"step": step, "loss": 1.0})
    logger.finish()
    assert capsys.readouterr().err.count("MlflowLogger: cannot log") == 1


def composed(*arguments):
    return compose.plain(compose.compose("train", arguments))


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_one_line_before_anything_is_trained(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # which is how Python notes that there is none
    with pytest.raises(InputError, match=f"logger={name} needs the package {name}.*pip install"):
        logger_of(composed(f"logger={name}"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["logger=[none,wandb]"], "can't be together"),
        (["logger=[wandb,tensorbord]"], "did you mean tensorboard"),
        (["logger=[]"], "there is no such logger"),
        (["logger=wandb", "logger.mode=offline"], r"did you mean logger\.wandb\.mode"),
        (["logger=mlflow", "logger.mlflow.timeout=0"], "timeout must be at least 1 second"),
    ],
)
def test_impossible_choices_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        logger_of(composed(*arguments))
