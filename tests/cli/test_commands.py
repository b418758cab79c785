"""The commands as a user types them: in processes, with real speech synthesis, on real files."""

import json
import os
import signal
import time

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.runs import checkpoint, records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.commands import command, start

SMALL = [
    "experiment=smoke", "data.corpus.train=40", "trainer.probe_points=1", "trainer.epochs=6",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder where the module's commands run, so that they share one corpus."""
    return tmp_path_factory.mktemp("place")


def only_run(folder):
    (found,) = folder.glob("*/*/*/*/seed*")
    return found


@pytest.fixture(scope="module")
def straight(place):
    """60 steps without a break."""
    command(place, "train.py", *SMALL, "runs=straight")
    return only_run(place / "straight")


@pytest.fixture
def same_runs(assert_same):
    """Asserts that two runs left the same records and states, to the bit."""

    def check(one, other):
        for name in ("dynamics.csv", "history.csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
        for kind in ("last", "best"):
            folders = (CheckpointFolder(run / "checkpoints") for run in (one, other))
            left, right = (folder.paths(kind)[-1] for folder in folders)
            assert left.name == right.name
            assert_same(checkpoint.load(left), checkpoint.load(right))

    return check


def test_60_steps_equal_30_and_a_fresh_process_and_30(place, straight, same_runs):
    command(place, "train.py", *SMALL, "trainer.epochs=3", "runs=halves")
    command(place, "train.py", *SMALL, "runs=halves")
    assert len(records.read(straight / "dynamics.csv")) == 30
    same_runs(straight, only_run(place / "halves"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_bits(place, straight, number, same_runs):
    folder = place / f"stopped{number}"
    # far more epochs than it will reach: it is training when the signal comes
    process = start(place, "train.py", *SMALL, "trainer.epochs=500", f"runs={folder}")
    while process.poll() is None and not list(folder.glob("*/*/*/*/*/checkpoints/last-*.pt")):
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert "the same command resumes" in errors
        assert "Traceback" not in errors
    command(place, "train.py", *SMALL, f"runs={folder}")
    same_runs(straight, only_run(folder))


def test_a_finished_run_is_left_alone(place, straight, here):
    before = {path: path.stat().st_mtime_ns for path in straight.rglob("*") if path.is_file()}
    done = here(place, "train", *SMALL, "runs=straight")
    assert "is finished" in done.stdout
    after = {path: path.stat().st_mtime_ns for path in straight.rglob("*") if path.is_file()}
    assert after == before


def test_another_config_in_its_directory_is_refused(place, straight, here):
    config = run_directory.read_config(straight)
    before = (straight / "config.yaml").read_bytes()
    config["optimizer"]["lr"] = 0.5
    try:
        run_directory.write_config(straight, config)
        done = here(place, "train", *SMALL, "runs=straight", check=2)
    finally:
        (straight / "config.yaml").write_bytes(before)
    assert "optimizer.lr" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_evaluate_scores_the_test_set_once(place, straight, here):
    done = here(place, "evaluate", f"run={straight}")
    assert "8 sources of 4 mixtures scored, 0 silent" in done.stdout
    rows = records.read(straight / "evaluation" / "test.csv")
    assert len(rows) == 8
    mean = np.mean([float(row["si_sdr"]) for row in rows])
    assert f"SI-SDR              mean {mean:6.2f} dB" in done.stdout
    table = straight / "evaluation" / "test.csv"
    marked = table.read_text().replace(f",{rows[0]['si_sdr']},", ",99.5,", 1)
    table.write_text(marked)  # would be gone if it were scored again
    assert "mean" in here(place, "evaluate", f"run={straight}").stdout
    assert table.read_text() == marked


def test_breakdown_tells_where_a_run_scores_low(place, straight, here):
    here(place, "evaluate", f"run={straight}")
    items = straight / "evaluation" / "test_items.csv"
    before = items.read_bytes()
    said = here(place, "breakdown", f"run={straight}", "output=mine").stdout
    assert "The 4 lowest items" in said
    assert (place / "mine" / "breakdown.csv").read_text().startswith("attribute,group,items,")
    assert "| speaker |" in (place / "mine" / "breakdown.md").read_text()
    assert (place / "mine" / "breakdown.png").exists()
    items.unlink()
    here(place, "breakdown", f"run={straight}")  # measured anew, from the corpus
    assert items.read_bytes() == before
    (place / "who.txt").write_text("400 f\n401 f\n402 f\n403 f\n")
    said = here(place, "breakdown", f"run={straight}", "speakers=who.txt", "output=mine").stdout
    assert "genders: all the same" in said
    table = straight / "evaluation" / "test.csv"
    said = here(place, "breakdown", f"run={table}", "output=mine", check=2).stderr
    assert "add items=FILE.csv" in said
    here(place, "breakdown", f"run={table}", f"items={items}", "output=mine")
    note = items.with_suffix(".json")
    note.write_text(note.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    said = here(place, "breakdown", f"run={straight}", check=2).stderr
    assert "another corpus than the scores" in said
    note.unlink()


def test_the_last_checkpoint_has_scores_of_its_own(place, straight, here):
    done = here(place, "evaluate", f"run={straight}", "checkpoint=last", "split=valid")
    assert "(6 epochs)" in done.stdout
    assert "8 sources of 4 mixtures" in done.stdout


def test_separate_keeps_rate_and_length(place, straight, here):
    samples = np.sin(np.arange(70_001) / 7)[None] * 0.3
    soundfiles.write(place / "song, a=1.wav", samples, 44100)
    done = here(place, "separate", f"run={straight}", "input=song, a=1.wav", "output=out")
    assert "resampled from 44100" in done.stdout
    total = np.zeros(70_001)
    for name in ("s1", "s2"):
        header = soundfiles.info(place / "out" / "song, a=1" / f"{name}.wav")
        assert (header.frames, header.sample_rate, header.channels) == (70_001, 44100, 1)
        total += soundfiles.read(place / "out" / "song, a=1" / f"{name}.wav")[0][0]
    assert np.abs(total).max() > 0.01


def test_a_folder_with_a_bad_file_goes_on_and_says_so(place, straight, here):
    folder = place / "songs"
    soundfiles.write(folder / "a.wav", np.zeros((1, 8000)), 8000)
    soundfiles.write(folder / "c.wav", np.zeros((2, 8000)), 8000)
    soundfiles.write(folder / "c.flac", np.zeros((1, 8000)), 8000)
    (folder / "b.wav").write_bytes(b"")
    given = [f"run={straight}", "input=songs", "output=o2", "downmix=true"]
    done = here(place, "separate", *given, check=1)
    assert "3 ok, 1 failed" in done.stdout
    assert "b.wav" in done.stderr
    assert len(list((place / "o2").glob("*/s*.wav"))) == 6
    silent, _ = soundfiles.read(place / "o2" / "a" / "s1.wav")
    assert not silent.any()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", ["clipping=none", "percentile=10"], "belongs to clipping=autoclip"),
        ("train", ["clipping=null"], "clipping=null: there is no such clipping"),
        ("train", ["loss=[snr]"], "loss=[snr]: there is no such loss (did you mean snr?)"),
        ("train", ["model="], "model=: there is no such model"),
        ("train", ["data=digits", "data.root=not/here"], "not/here"),
        ("train", ["--multi"], "unknown flag --multi"),
        ("evaluate", ["run=not/here"], "not/here is not a run directory"),
        ("evaluate", [], "run is missing"),
        ("evaluate", ["run=x", "split=tset"], "split=tset: must be one of train, valid, test"),
        ("evaluate", ["run=x", "threads=5000"], "threads=5000"),
        ("evaluate", ["run=x", "data=tree"], "data: evaluate has no such setting; there are run,"),
        ("evaluate", ["data=tree", "loss=snr"], "evaluate has no such setting; there are run,"),
        ("train", ["trainer.threads=100000"], "threads=100000: must be an integer from 0 to"),
        ("train", ["trainer.workers=9223372036854775807"], "must be an integer from 0 to 1024"),
        ("separate", ["run=x", "input=y", "downmix=no"], "downmix='no'"),
        ("train", ["force=no"], "force='no'"),
        ("separate", ["run=not/here", "input=x.wav"], "not/here"),
    ],
)
def test_a_mistake_is_one_line_exit_2_and_leaves_nothing(tmp_path, here, name, arguments, message):
    done = here(tmp_path, name, *arguments, check=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_loss_that_a_clipper_cannot_take_is_one_line(place, straight, here):
    alrc = ["loss=snr", "clipping=alrc", "clipping.signed=false"]
    done = here(place, "train", *SMALL, *alrc, "runs=negative", check=2)
    assert "ALRC met a negative loss" in done.stderr
    assert "Traceback" not in done.stderr


TORCH = "torch.optim.lr_scheduler"
CONSTANT = {"_target_": f"{TORCH}.ConstantLR", "_partial_": True}
ONE_CYCLE = {
    "_target_": f"{TORCH}.OneCycleLR", "_partial_": True, "max_lr": 0.01, "total_steps": 20,
}  # fmt: skip
INSIDE = {
    "_target_": f"{TORCH}.SequentialLR", "_partial_": True,
    "milestones": [1], "schedulers": [CONSTANT, ONE_CYCLE],
}  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (ONE_CYCLE, "scheduler.total_steps=20: trainer.epochs=6 needs 60"),
        (INSIDE, "scheduler: Tried to step 21 times. The specified number of total steps is 20"),
    ],
)
def test_a_schedule_that_ends_before_the_run_is_one_line(place, straight, schedule, message):
    (place / "mine" / "scheduler").mkdir(parents=True, exist_ok=True)
    file = place / "mine" / "scheduler" / "short.yaml"
    file.write_text(json.dumps({**schedule, "interval": "step"}))
    given = ["--config-dir=mine", *SMALL, "scheduler=short", "runs=short"]
    done = command(place, "train.py", *given, check=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_sweep_reports_failures_and_goes_on(place, straight, here):
    done = here(
        place, "train", "-m", *SMALL, "trainer.epochs=1", "runs=sweep",
        "percentile=10,20", "trainer.batch_size=4,64", check=1,
    )  # fmt: skip
    assert "2 ok, 2 failed" in done.stderr
    assert "batch_size=64" in done.stderr
    assert len(list((place / "sweep").glob("*/*/*/*/*/dynamics.csv"))) == 2


def test_a_network_and_a_batch_too_large_for_memory_stop_no_sweep(place, here):
    done = here(
        place, "train", "-m", *SMALL, "trainer.epochs=1", "runs=large",
        "model.hidden=1000000,4611686018427387904,16", "trainer.segment=6336,4611686018427387904",
        check=1,
    )  # fmt: skip
    assert "1 ok, 5 failed" in done.stderr
    assert "GB of memory are needed" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((place / "large").glob("*/*/*/*/*/dynamics.csv"))) == 1


def test_a_sweep_with_a_value_that_cannot_be_meant_runs_nothing(place, here):
    done = here(place, "train", "-m", *SMALL, "runs=none", "percentile=10,x", check=2)
    assert done.stderr.count("\n") == 1
    assert "percentile" in done.stderr
    assert not (place / "none").exists()


def test_help_names_the_groups(place, here):
    assert "clipping" in here(place, "train", "--help").stdout
    assert "percentile: 10" in here(place, "train", "--cfg", "job").stdout


def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = start(tmp_path, "train.py", "--cfg", "job", stdout=write)
    os.close(write)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (128 + signal.SIGPIPE, "")
