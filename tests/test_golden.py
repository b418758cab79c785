"""States and runs of an earlier commit (tests/golden/README.md) load and continue as they did."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.runs import records, run_directory
from tests.clipping.conftest import CLIPPERS
from tests.golden.make import SEPARATE, STEPS, TRAIN, go_on, only_run, write_corpus

GOLDEN = Path(__file__).parent / "golden"
STATES = sorted((GOLDEN / "clippers").glob("*.pt"))


def followed(kind):
    return json.loads((GOLDEN / kind / "followed.json").read_text())


@pytest.mark.parametrize("path", STATES, ids=lambda path: path.stem)
def test_a_clippers_state_loads_and_goes_on(path):
    clipper = CLIPPERS[path.stem]()
    clipper.load_state_dict(torch.load(path, weights_only=True))
    assert (clipper.steps, clipper.skipped) == (STEPS, 1)
    after = list(go_on(clipper, range(STEPS, 2 * STEPS)))
    np.testing.assert_allclose(after, followed("clippers")[path.stem], rtol=1e-5)


@pytest.mark.parametrize("label", ["autoclip_p10", "zclip_z0.5", "adagc_1.05", "alrc_n0.5"])
def test_the_test_of_a_state_can_fail(label):
    """Negative controls: a clipper without its state does something else."""
    after = list(go_on(CLIPPERS[label](), range(STEPS, 2 * STEPS)))
    assert not np.allclose(after, followed("clippers")[label], rtol=1e-2)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder, with the runs and their corpus."""
    monkeypatch.chdir(tmp_path)
    for kept in ("finished", "interrupted"):
        shutil.copytree(GOLDEN / "runs" / kept, tmp_path / kept)
    write_corpus(tmp_path / "corpus")
    return tmp_path


def same_rows(path, rows, columns):
    found = records.read(path)
    assert len(found) == len(rows)
    for column in columns:
        numbers = ([float(row[column]) for row in table] for table in (found, rows))
        np.testing.assert_allclose(*numbers, rtol=1e-2, err_msg=column)


def test_an_interrupted_run_goes_on(place, capsys):
    before = only_run(place / "interrupted")
    train([*TRAIN, "runs=interrupted"])
    run = only_run(place / "interrupted")
    assert run == before
    assert "resuming from step 6 (epoch 2)" in capsys.readouterr().out
    assert run_directory.read_state(run)["status"] == "finished"
    expected = followed("runs")
    columns = ("step", "loss", "grad_norm", "threshold", "step_norm", "lr")
    same_rows(run / "dynamics.csv", expected["dynamics"], columns)
    same_rows(run / "history.csv", expected["history"], ("step", "train_loss", "valid_loss", "lr"))


def test_a_finished_run_is_left_alone_and_grows(place, capsys):
    run = only_run(place / "finished")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    train([*TRAIN, "runs=finished"])
    assert "is finished" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    train([*TRAIN, "runs=finished", "trainer.epochs=5"])
    assert only_run(place / "finished") == run
    rows = records.read(run / "history.csv")
    assert [row["step"] for row in rows] == ["4", "8", "12", "16", "20"]
    assert float(rows[-1]["valid_loss"]) < float(rows[-2]["valid_loss"])


def test_a_finished_run_is_evaluated_and_separates(place):
    run = only_run(Path("finished"))
    evaluate([f"run={run}"])
    expected = followed("runs")
    found = records.read(run / "evaluation" / "test.csv")
    for row, other in zip(found, expected["scores"], strict=True):
        assert row["item"] == other["item"]
        assert float(row["si_sdr"]) == pytest.approx(float(other["si_sdr"]), abs=0.01)
    separate([f"run={run}", *SEPARATE])
    for path in Path("separated").glob("*/*.wav"):
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        np.testing.assert_allclose(sound[::10], expected[path.name], atol=30)  # of 32768
    assert {path.name for path in Path("separated").glob("*/*.wav")} == {"s1.wav", "s2.wav"}
