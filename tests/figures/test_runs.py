"""Which runs are found, and the table that is made of them."""

import math
import pickle
from pathlib import Path

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.figures.record_files import columns
from autoclip_sep.figures.runs import comparable, find, frame
from autoclip_sep.runs import run_directory

RUN = "runs/wsj0_2mix/snr/blstm/none/seed0"
EXPECTED = "expected <data>/<loss>/<model>/<clipping>/seed<n>"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(folder):
    Path(folder).mkdir(parents=True)
    Path(folder, "dynamics.csv").touch()


def error(root):
    with pytest.raises(InputError) as caught:
        find(Path(root))
    return str(caught.value)


def test_runs_are_found_in_the_order_of_their_paths():
    for name in ("b/snr/blstm/none/seed1", "b/snr/blstm/none/seed0", "a/snr/blstm/none/seed0-ab"):
        touch(f"runs/{name}")
    Path("runs/b/snr/blstm/none/seed2").mkdir()
    found = [str(run.directory.relative_to("runs/")) for run in find(Path("runs"))]
    assert found == [
        "a/snr/blstm/none/seed0-ab", "b/snr/blstm/none/seed0", "b/snr/blstm/none/seed1",
    ]  # fmt: skip


@pytest.mark.parametrize("named", [RUN.rsplit("/", level)[0] for level in range(4)] + [RUN])
def test_a_folder_too_low_names_the_right_one(named):
    touch(RUN)
    assert error(named) == f"no runs below {named}: {EXPECTED}; did you mean runs=runs?"


def test_a_folder_too_high_names_the_first_below(monkeypatch):
    touch(f"mine/{RUN}")
    touch(f"mine/b_{RUN}")
    assert error("mine").endswith("; did you mean runs=mine/b_runs?")
    assert error("mine/runs/..").endswith("; did you mean runs=mine/runs/../b_runs?")
    monkeypatch.chdir("mine")
    assert error(".").endswith("; did you mean runs=b_runs?")
    monkeypatch.chdir("runs/wsj0_2mix")
    assert error(".").endswith("; did you mean runs=..?")


@pytest.mark.parametrize("named", ["nowhere", "runs"])
def test_without_any_it_says_how_to_make_some(named):
    Path("runs").mkdir()
    assert error(named) == f"no runs below {named}: {EXPECTED}; `make demo` makes two"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step,loss\n1,a\n", "could not convert string to float: 'a'"),
        ("step,loss\n1,2\n1.5,2\n", "step must be an integer from 1"),
        ("epoch,loss\nnan,2\n", "epoch must be an integer from 1"),
        ("step,loss\n", "holds no rows"),
        ("step\n1\n", "has no column loss"),
    ],
)
def test_what_is_no_record_file_is_one_line_that_names_it(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=rf"a\.csv.*{message}"):
        columns(tmp_path / "a.csv")["loss"]


def test_numbers_that_are_not_finite_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,nan\n2,-inf\n")
    assert columns(tmp_path / "a.csv")["loss"].tolist() == pytest.approx(
        [math.nan, -math.inf], nan_ok=True
    )


def test_a_run_is_a_row(add_run):
    run = add_run(seed=3, gain=5.0, changed="23aa62", model="dual-path", epochs=3,
                  shares=[0.1, math.nan, 0.4], losses=[3.0, 1.0, 2.0],
                  step_norm=[9.0, 9.0, 1.0, 3.0])  # fmt: skip
    (row,) = frame([run]).to_dict("records")
    expected = {
        "run": run, "corpus": "demo", "loss": "mask_inference", "model": "dual-path",
        "changed": "23aa62", "variant": "dual-path-23aa62", "seed": 3, "percentile": 10,
        "clipping": "AutoClip, p = 10", "family": "AutoClip", "setting": "p = 10", "tuned": 10,
        "strategy": "AutoClip, p = 10", "network": "2 × 128", "batch_size": 4, "epochs": 3,
        "epochs_wanted": 3, "iterations": 30, "train_loss": 2, "valid_loss": 2, "scored": True,
        "si_sdr": 5, "si_sdr_improvement": 6, "commit": "abc1234567", "device": "a CPU",
        "date": "2026-01-02", "fingerprint": "f" * 64, "probe_points": 1,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert math.isnan(row["mixtures"])
    assert math.isclose(row["clipped_share"], (10 * 0.1 + 10 * 0.4) / 20)  # of epochs with a share
    assert row["step_variation"] == 0.5  # of the second half


def test_what_a_run_does_not_have_is_nan(add_run):
    (row,) = frame([add_run(done=0, grad_norm=[])]).to_dict("records")
    assert (row["epochs"], row["scored"]) == (0, False)
    for key in ("iterations", "train_loss", "valid_loss", "clipped_share", "step_variation",
                "si_sdr", "si_sdr_improvement"):  # fmt: skip
        assert math.isnan(row[key]), key
    (row,) = frame([add_run(seed=1, done=0)]).to_dict("records")
    assert row["iterations"] == 80  # in its first epoch


@pytest.mark.parametrize("label", ["autoclip_p10_window100", "norm_1", "shadow"])
def test_other_clippers_are_not_taken_for_the_papers(add_run, label):
    run = add_run(label)
    assert math.isnan(run.percentile)
    assert run.clipping == label


def test_records_do_not_travel_to_other_processes(add_run):
    run = add_run(grad_norm=range(1, 1000))
    assert len(run.dynamics["step"]) == 999
    assert pickle.loads(pickle.dumps(run)) == run
    assert len(pickle.dumps(run)) < 1000


def test_unfinished_runs_and_runs_of_another_length_are_left_out_with_a_line(add_run, tmp_path):
    kept = [add_run(seed=seed, epochs=3) for seed in (0, 1)]
    kept.append(add_run("none", seed=0, epochs=2, done=3))  # went on; its config says less
    kept.append(add_run(loss="snr", epochs=7))  # of another loss: its own length
    short = add_run(seed=2, epochs=4, done=1)
    other = add_run(seed=3, epochs=5)
    empty = add_run(seed=4, epochs=5, done=0)
    found, left_out = comparable(frame(find(tmp_path)))
    assert set(found["run"]) == set(kept)
    assert sorted(left_out) == sorted([
        f"left out: {short.directory}: 1 of 4 epochs",
        f"left out: {other.directory}: 5 epochs, others 3",
        f"left out: {empty.directory}: 0 of 5 epochs",
    ])  # fmt: skip


def test_of_two_lengths_that_are_as_common_the_longer_one_is_kept(add_run, tmp_path):
    add_run(seed=0, epochs=2)
    longer = add_run(seed=1, epochs=3)
    assert list(comparable(frame(find(tmp_path)))[0]["run"]) == [longer]


def test_without_a_finished_run_none_is_kept(add_run):
    kept, left_out = comparable(frame([add_run(done=1)]))
    assert (len(kept), len(left_out)) == (0, 1)


def test_early_stopping_ends_a_run_and_an_epoch_begun_is_none(add_run):
    """The last row of history.csv may be a validation within an epoch."""
    early, begun, whole = (add_run(seed=n, epochs=5, done=done) for n, done in enumerate((3, 5, 5)))
    reason = "no lower validation loss in 2 validations (trainer.patience)"
    run_directory.write_state(early.directory, status="finished", step=30, epochs=3, reason=reason)
    run_directory.write_state(begun.directory, status="interrupted", step=45, epochs=4)
    kept, left_out = comparable(frame([early, begun, whole]))
    assert list(kept["run"]) == [early, whole]
    assert list(kept["epochs"]) == [3, 5]
    assert left_out == [f"left out: {begun.directory}: 4 of 5 epochs"]
