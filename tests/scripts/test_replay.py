"""The command on the norms of a real run and on small files."""

import csv

import pytest

from autoclip_sep.dynamics import replay
from autoclip_sep.runs import records
from tests.commands import command

RUN = [
    "experiment=smoke", "clipping=shadow", "data.corpus.train=40", "trainer.epochs=2",
    "trainer.probe_points=0",
]  # fmt: skip


def course(path):
    """replay.csv by column."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [float(row[key]) for row in rows] for key in rows[0]}


def test_a_run_that_only_watched_is_asked_afterwards(tmp_path, here):
    here(tmp_path, "train", *RUN)
    (run,) = tmp_path.glob("runs/demo/*/*/shadow/seed0*")
    said = here(tmp_path, "replay", str(run), "percentiles=10,50").stdout
    assert "20 norms of every step, 0 not finite and skipped" in said
    found = course(tmp_path / "figures" / "replay" / "replay.csv")
    assert found["step"] == list(range(1, 21))
    rows = records.read(run / "dynamics.csv")
    assert len(rows) == 10
    for row in rows:
        assert float(row["grad_norm"]) == found["norm"][int(row["step"]) - 1]
    for percentile in (10, 50):
        (expected,) = replay(found["norm"], [percentile])
        assert found[f"threshold_p{percentile}"] == expected.thresholds.tolist()


def test_a_column_gives_table_course_and_figure(tmp_path, here):
    (tmp_path / "log.csv").write_text("step,norm\n3,4\n6,1\n9,3\n12,nan\n15,8\n18,6\n")
    given = ["norms=log.csv", "column=norm", "percentiles=100,50,50", "output=out"]
    first, _, _, *lines = here(tmp_path, "replay", *given).stdout.splitlines()
    assert first == "log.csv: 5 norms of every 3rd step, 1 not finite and skipped"
    assert lines[0].split() == ["50", "4", "3", "to", "4", "40.0%", "0.552"]
    assert lines[1].split() == ["100", "8", "4", "to", "8", "0.0%", "-"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["replay.csv", "replay.pdf", "replay.png"]
    found = course(tmp_path / "out" / "replay.csv")
    assert found["step"] == [3, 6, 9, 12, 15, 18]
    assert found["threshold_p50"] == [4, 2.5, 3, float("inf"), 3.5, 4]
    assert list(found) == ["step", "norm", "threshold_p50", "threshold_p100"]


def test_standard_input_window_and_warmup(tmp_path):
    given = ["-", "percentiles=0", "window=2", "warmup=1"]
    done = command(tmp_path, "scripts/replay.py", *given, given="1\n5\n4\n9\n")
    assert done.stdout.startswith("standard input: 4 norms, 0 not finite")
    found = course(tmp_path / "figures" / "replay" / "replay.csv")
    assert found["threshold_p0"] == [float("inf"), 1, 4, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: norms=..."),
        (["bad.txt"], "bad.txt, line 2: 'two' is no number"),
        (["norms=gone.txt"], "gone.txt: not there"),
        (["good.txt", "percentiles=10,x"], "percentiles=10,x: must be numbers"),
        (["good.txt", "window=0"], "window=0: must be an integer from 1"),
        (["good.txt", "output=bad.txt"], "bad.txt"),
        (["good.txt", "bad.txt"], "bad.txt: no such setting"),
        (["good.txt", "--percentiles", "10"], "--percentiles: no such setting (did you mean perc"),
        (["--out=x", "good.txt"], "--out=x: no such setting (did you mean output=...?)"),
    ],
)
def test_a_mistake_is_one_line_exit_2_and_leaves_nothing(tmp_path, here, arguments, message):
    files = {"good.txt": "1\n2\n", "bad.txt": "1\ntwo\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = here(tmp_path, "replay", *arguments, check=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
