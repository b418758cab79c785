"""The main job in small: train two runs side by side, evaluate, draw; then once more."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "experiment=demo", "model.hidden=8", "trainer.epochs=2", "trainer.batch_size=4",
    "trainer.excerpt=3200", "trainer.record_every=2", "data.corpus.train=16",
    "data.corpus.valid=4", "data.corpus.test=3", "data.corpus.speakers=4",
    "data.corpus.test_speakers=2", "data.corpus.utterances=4",
]  # fmt: skip


def script(place, name, *arguments, check=0):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *arguments],
        cwd=place, capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == check, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    script(folder, "reproduce", *TINY)
    return folder


def records_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.csv")}


def test_both_runs_are_trained_scored_and_drawn(place):
    names = {path.parent.parent.name for path in place.glob("runs/*/*/*/*/seed*/dynamics.csv")}
    assert names == {"autoclip_p10", "autoclip_p100"}
    assert len(list(place.glob("runs/*/*/*/*/seed*/evaluation/test.csv"))) == 2
    (figure,) = place.glob("figures/training_dynamics_demo_*.png")
    assert figure.with_suffix(".pdf").exists()
    table = (place / "figures" / "results.md").read_text()
    assert "| AutoClip, p = 10 | 1 |" in table
    assert "| No clipping | 1 |" in table


def test_a_second_call_changes_nothing(place):
    before = records_in(place)
    said = script(place, "reproduce", *TINY)
    assert records_in(place) == before
    assert said.count("done:") == 2


def test_kept_records_draw_the_same_figure_and_table(place):
    script(place, "keep_records", "runs=runs", "output=kept")
    assert not list(place.glob("kept/**/*.pt"))
    script(place, "draw_figures", "runs=kept", "output=again")
    table = (place / "again" / "results.md").read_text()
    assert table == (place / "figures" / "results.md").read_text()
    assert len(list(place.glob("again/*.png"))) == 1


def test_a_failing_run_is_reported_and_the_others_are_drawn(place):
    said = script(place, "reproduce", *TINY, "trainer.batch_size=4,64", "runs=other", check=1)
    assert said.count("failed:") == 2
    assert len(list(place.glob("other/*/*/*/*/seed*/evaluation/test.csv"))) == 2


def test_stopped_from_outside_it_takes_its_runs_along(place):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "reproduce.py"), *TINY, "trainer.epochs=500",
         "runs=long"],
        cwd=place, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while len(list(place.glob("long/*/*/*/*/*/history.csv"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    for state in place.glob("long/*/*/*/*/*/state.json"):
        assert '"interrupted"' in state.read_text()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("reproduce", ["experiment=demmo"], "did you mean demo"),
        ("reproduce", ["percentile=10"], "which experiment?"),
        ("draw_figures", ["runs=nowhere"], "no runs below nowhere"),
        ("draw_figures", ["run=runs"], "are known"),
        ("keep_records", [], "are wanted"),
    ],
)
def test_mistakes_are_one_line(tmp_path, name, arguments, message):
    said = script(tmp_path, name, *arguments, check=2)
    assert message in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())
