"""What is kept of runs: which rows, in how many digits, and what is left alone."""

import gzip
import json
import math
import sys

import pytest
from pandas.testing import assert_frame_equal

from autoclip_sep.figures.runs import find
from autoclip_sep.runs import records, run_directory, scores
from tests.commands import load

keep_records = load("scripts/keep_records.py")
ROWS = 10
SCORES = "item,source,estimate,si_sdr,si_sdr_mixture,silent\n" + "".join(
    f"{name},{s},{3 - s},{score!r},{-1 / 3!r},{int(math.isnan(score))}\n"
    for name, s, score in [("a", 1, 100 / 7), ('"b, c"', 1, math.nan), ('"b, c"', 2, -math.inf)]
)


@pytest.fixture
def keep(monkeypatch, capsys):
    """A function that runs the command in a folder: what it says. check: its exit code."""

    def call(place, *arguments, check=0):
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", ["keep_records.py", *arguments])
        code = 0
        try:
            keep_records.main()
        except SystemExit as stopped:
            code = stopped.code
        said = capsys.readouterr()
        assert code == check, said
        return said.out + said.err

    return call


def add_run(place, seed=0, status="finished", scored=True):
    """A run of ROWS rows; the 7th has a spike."""
    directory = place / "runs" / "demo" / "snr" / "blstm" / "none" / f"seed{seed}"
    (directory / "evaluation").mkdir(parents=True)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "last-1-1.pt").write_bytes(b"weights")
    run_directory.write_config(directory, {"seed": seed})
    run_directory.write_state(directory, status=status)
    lines = [f"{20 * n},{-1 / (3 * n)!r},{1e3 / 3 if n == 7 else 0.1!r},inf\n"
             for n in range(1, ROWS + 1)]  # fmt: skip
    (directory / "dynamics.csv").write_text("".join(["step,loss,step_norm,threshold\n", *lines]))
    (directory / "history.csv").write_text(f"epoch,train_loss\n1,{1 / 3!r}\n")
    (directory / "timing.csv").write_text("a\n1\n")
    if scored:
        (directory / "evaluation" / "test.json").write_text('{"summary": {"si_sdr_mean": 1.0}}')
        (directory / "evaluation" / "test.csv").write_text(SCORES)
        (directory / "evaluation" / "test_items.csv").write_text("item,seconds\na,1.0\n")
        (directory / "evaluation" / "test_items.json").write_text("{}")
        (directory / "evaluation" / "test_stoi.csv").write_text(SCORES)  # not complete: no summary
    return directory


def kept(place, seed=0):
    return place / "kept" / "demo" / "snr" / "blstm" / "none" / f"seed{seed}"


def rows(place):
    return records.read(kept(place) / "dynamics.csv")


def note(place):
    return json.loads((kept(place) / "kept.json").read_text())


@pytest.fixture
def place(tmp_path):
    add_run(tmp_path)
    return tmp_path


def test_a_short_run_keeps_every_row_in_six_digits(place, keep):
    said = keep(place, "runs=runs", "output=kept")
    assert "seed0 (10 of 10 rows)" in said
    assert len(rows(place)) == ROWS
    assert rows(place)[0] == {
        "step": "20", "loss": "-0.333333", "step_norm": "0.1", "threshold": "inf",
    }  # fmt: skip
    assert rows(place)[6]["step_norm"] == "333.333"
    assert note(place) == {"every": 1, "rows": 10, "of": 10, "digits": 6}


@pytest.mark.parametrize(
    ("argument", "every"),
    [("rows=10", 1), ("rows=9", 2), ("rows=5", 2), ("rows=4", 3), ("rows=1", 10), ("every=3", 3)],
)
def test_a_longer_one_keeps_plainly_every_kth(place, keep, argument, every):
    keep(place, "runs=runs", "output=kept", argument)
    steps = [int(row["step"]) for row in rows(place)]
    assert steps == list(range(20 * every, 20 * ROWS + 1, 20 * every))
    assert note(place) == {"every": every, "rows": len(steps), "of": ROWS, "digits": 6}


def test_all_digits_are_all_bits(place, keep):
    keep(place, "runs=runs", "output=kept", "digits=17")
    original = records.read(place / "runs/demo/snr/blstm/none/seed0/dynamics.csv")
    for row, whole in zip(rows(place), original, strict=True):
        assert {key: float(value) for key, value in row.items()} == {
            key: float(value) for key, value in whole.items()
        }


def test_the_rest_is_kept_to_the_bit_without_weights_and_timing(place, keep):
    keep(place, "runs=runs", "output=kept")
    names = sorted(path.relative_to(kept(place)).as_posix() for path in kept(place).rglob("*.*"))
    assert names == ["config.yaml", "dynamics.csv", "evaluation/test.csv.gz",
                     "evaluation/test.json", "history.csv", "kept.json"]  # fmt: skip
    whole = (place / "runs/demo/snr/blstm/none/seed0/history.csv").read_bytes()
    assert (kept(place) / "history.csv").read_bytes() == whole


def test_scores_of_single_items_are_kept_in_five_digits_and_the_same_bytes(place, keep):
    keep(place, "runs=runs", "output=kept")
    table = kept(place) / "evaluation" / "test.csv.gz"
    assert gzip.decompress(table.read_bytes()).decode() == (
        "item,source,si_sdr,si_sdr_mixture\na,1,14.286,-0.33333\n"
        '"b, c",1,nan,-0.33333\n"b, c",2,-inf,-0.33333\n'
    )
    before, whole = table.read_bytes(), table.with_name("test.csv")
    whole.write_text("item,source,si_sdr\na,1,0.0\n")  # of an earlier run, say
    keep(place, "runs=runs", "output=kept")
    assert table.read_bytes() == before
    assert not whole.exists()
    original = scores.read(place / "runs/demo/snr/blstm/none/seed0/evaluation/test.csv")
    found = scores.read(scores.tables(kept(place))["si_sdr"])
    assert_frame_equal(found, original[list(found)], atol=1e-3)


def test_what_was_kept_is_a_run_to_the_figures_and_is_kept_anew(place, keep):
    keep(place, "runs=runs", "output=kept", "every=5")
    keep(place, "runs=runs", "output=kept", "every=2")
    (run,) = find(place / "kept")
    assert run.dynamics["step"].tolist() == [40, 80, 120, 160, 200]
    assert run.score()["si_sdr_mean"] == 1.0
    assert note(place)["every"] == 2


def test_a_row_that_was_never_finished_is_no_row(place, keep):
    with (place / "runs/demo/snr/blstm/none/seed0/dynamics.csv").open("a") as file:
        file.write("220,-0.")
    keep(place, "runs=runs", "output=kept")
    assert len(rows(place)) == ROWS


def test_a_run_too_short_for_a_row_is_named_and_left_out(place, keep):
    short = add_run(place, 1) / "dynamics.csv"
    short.write_text("step,loss,step_norm,threshold\n")
    said = keep(place, "runs=runs", "output=kept")
    assert "left out: runs/demo/snr/blstm/none/seed1/dynamics.csv holds no rows" in said
    assert not kept(place, 1).exists()
    assert len(rows(place)) == ROWS


def test_folders_of_control_characters_are_shown_escaped(place, keep):
    add_run(place, 1, status="interrupted")
    (place / "runs/demo").rename(place / "runs/\x1b[31mdemo")
    assert r"left out, not finished or not evaluated: \x1b[31mdemo/" in keep(
        place, "runs=runs", "output=kept"
    )


def test_unfinished_and_unscored_runs_are_named_and_left_out(place, keep):
    add_run(place, 1, status="interrupted")
    add_run(place, 2, scored=False)
    said = keep(place, "runs=runs", "output=kept")
    for seed in (1, 2):
        assert f"left out, not finished or not evaluated: demo/snr/blstm/none/seed{seed}" in said
        assert not kept(place, seed).exists()
    assert said.splitlines()[-1].startswith("1 runs, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs=runs"], "missing: output=..."),
        (["runs=nowhere", "output=kept"], "no runs below nowhere"),
        (["runs=runs", "output=runs"], "would lose rows"),
        (["runs=runs", "output=runs/demo/../kept"], "would lose rows"),
        (["runs=runs", "output=kept", "rows=0"], "rows=0: must be an integer"),
        (["runs=runs", "output=kept", "every=0"], "every=0: must be an integer"),
        (["runs=runs", "output=kept", "every=two"], "every=two: must be an integer"),
        (["runs=runs", "output=kept", "digits=-1"], "digits=-1: must be an integer"),
        (["runs=runs", "output=kept", "row=5"], "did you mean rows=...?"),
        (["runs=runs", "output=kept", "every=11"], "seed0 has no 11th row: it has 10"),
    ],
)
def test_a_mistake_is_one_line_and_loses_nothing(place, keep, arguments, message):
    before = {path: path.read_bytes() for path in place.rglob("*.csv")}
    said = keep(place, *arguments, check=2)
    assert message in said
    assert len(said.splitlines()) == 1
    assert {path: path.read_bytes() for path in place.rglob("*.csv")} == before
