"""Sweeps through Hydra's launchers, with real processes; Slurm is only told apart."""

import os
import signal
import time

import pytest

from autoclip_sep.cli import command, compose, launch, launched
from autoclip_sep.errors import InputError
from autoclip_sep.training.preemption import SIGNALS, Interrupted
from tests.commands import command as give
from tests.commands import start

psutil = pytest.importorskip("psutil")

SMALL = ["experiment=smoke", "data.corpus.train=40", "trainer.checkpoint_every=1"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
SUBMITIT = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=60"]
OURS = """
import os
import signal
from autoclip_sep.clipping import NormClipping

class Ours(NormClipping):
    pass

class Killer(NormClipping):
    def clip_gradients(self, *given, **named):
        os.kill(os.getpid(), signal.SIGKILL)
"""
LAUNCHERS = pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT], ids=["joblib", "submitit"])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder where the module's commands run, so that they share one corpus."""
    folder = tmp_path_factory.mktemp("place")
    # A module of one's own in a folder of one's own configs: the launchers' processes need both.
    (folder / "ours.py").write_text(OURS)
    (folder / "mine" / "clipping").mkdir(parents=True)
    for threshold, name in enumerate(("Ours", "Killer"), start=1):
        file = folder / "mine" / "clipping" / f"{name.lower()}.yaml"
        file.write_text(f"_target_: ours.{name}\nthreshold: {threshold}\n")
    return folder


@LAUNCHERS
def test_a_failure_stops_no_other_and_what_is_finished_is_passed_over(place, launcher):
    runs = f"{launcher[0][-5:]},a"  # a comma makes no sweep of a path
    call = [
        "-m", "--config-dir=mine", *SMALL, "trainer.epochs=1", f"runs={runs}", "clipping=ours",
        "trainer.batch_size=64,4", *launcher,
    ]  # fmt: skip
    before = {path.name for path in place.iterdir()}
    done = give(place, "train.py", *call, check=1)
    told = done.stderr[done.stderr.index("1 ok, 1 failed:") :].splitlines()
    assert len(told) == 2
    assert "trainer.batch_size=64" in told[1]
    assert "the split has 40 examples only" in told[1]
    assert len(list((place / runs).glob("*/*/*/norm_1/*/state.json"))) == 1
    made = {path.name for path in place.iterdir()} - before
    assert made <= {runs, "corpora", "store", "__pycache__"}  # nothing of Hydra's
    assert (place / runs / ".submitit").exists() == (launcher is SUBMITIT)

    done = give(place, "train.py", *[word.replace("64,4", "4") for word in call])
    assert "1 of 1 jobs are finished" in done.stdout
    assert "through" not in done.stdout


@pytest.mark.parametrize(
    ("launcher", "number"), [(JOBLIB, signal.SIGTERM), (SUBMITIT, signal.SIGINT)]
)
def test_a_signal_to_all_stops_the_sweep_with_its_runs_saved(place, launcher, number):
    """As a terminal and `timeout` send it: to the launcher's processes too."""
    runs = place / f"{launcher[0][-5:]}{number}"
    process = start(
        place, "train.py", "-m", *SMALL, "trainer.epochs=500", f"runs={runs}", "seed=0,1,2",
        *launcher, start_new_session=True,
    )  # fmt: skip
    wait_for(process, runs)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    assert "0 of 3 jobs are done, the same command resumes" in said
    states = [path.read_text() for path in runs.glob("*/*/*/*/*/state.json")]
    assert states
    assert all('"interrupted"' in state for state in states)
    assert not [p for p in psutil.process_iter() if str(runs) in " ".join(words(p))]


def test_a_job_that_submitit_puts_back_into_the_queue_goes_on(place):
    """SIGUSR2 is what it hears before the time is over; locally the queue is its own."""
    runs = place / "again"
    process = start(
        place, "train.py", "-m", *SMALL, "trainer.epochs=10", f"runs={runs}", "seed=0", *SUBMITIT
    )
    wait_for(process, runs)
    for child in psutil.Process(process.pid).children(recursive=True):
        if "submitit.core._submit" in words(child):
            child.send_signal(signal.SIGUSR2)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    (log,) = runs.glob(".submitit/*/*_log.out")
    assert "Requeued" in log.read_text()
    assert "resuming from step" in log.read_text()


def test_a_job_that_is_killed_is_told_and_stops_no_other(place):
    runs = place / "killed"
    process = start(
        place, "train.py", "-m", *SMALL, "trainer.epochs=5", f"runs={runs}", "seed=0,1", *SUBMITIT
    )
    wait_for(process, runs)
    children = psutil.Process(process.pid).children(recursive=True)
    next(child for child in children if "submitit.core._submit" in words(child)).kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "1 ok, 1 failed:\n" in said
    assert "ended without a result; see " in said


def test_a_pool_that_loses_a_process_goes_on_with_one_job_at_a_time(place):
    """As where memory runs out; joblib ends all its processes with the one that is killed."""
    done = give(
        place, "train.py", "-m", "--config-dir=mine", *SMALL, "trainer.epochs=1", "runs=pool",
        "clipping=killer,ours", *JOBLIB, check=1,
    )  # fmt: skip
    assert "now one job at a time" in done.stdout
    _, line, *_ = done.stderr[done.stderr.index("1 ok, 1 failed:") :].splitlines()
    assert "clipping=killer" in line
    assert line.endswith("its process was killed, perhaps because memory ran out")
    (state,) = place.glob("pool/*/*/*/norm_1/*/state.json")
    assert '"finished"' in state.read_text()


def wait_for(process, runs):
    """Until a run has a checkpoint."""
    while process.poll() is None and not list(runs.glob("*/*/*/*/*/checkpoints/last-*.pt")):
        time.sleep(0.05)


def words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hydra/launcher=joblb", r"no such launcher \(did you mean joblib\?\)"),
        ("hydra/launcher=joblib,basic", "must be one value"),
        ("hydra.launcher.n_jobs=2", "no such setting"),  # of the launcher that isn't named
    ],
)
def test_what_no_launcher_is_given_is_one_line(setting, said):
    with pytest.raises(InputError, match=said):
        launch.choose("train", [setting], [])


def test_a_launcher_that_isnt_installed_names_the_extra():
    answer = compose._unknown_launcher("joblib", ["basic"])
    assert "pip install 'autoclip_sep[sweeps]'" in answer


@pytest.fixture
def task(monkeypatch):
    """Attempts in this process; its handlers are restored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.setattr(launched, "STOP", launched._Stop())

    def run(attempt):
        return launched.Task([["seed=1"]], attempt, []).outcome(["seed=1"])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_fault_of_ours_is_told_and_stops_nothing(task):
    assert task(lambda _: "") == ("done", "")
    assert task(lambda _: "no such corpus") == ("failed", "no such corpus")
    assert task(lambda _: {}["key"]) == ("failed", "KeyError: 'key'")


def test_a_process_that_was_asked_to_stop_begins_no_other_job(task):
    assert task(lambda _: os.kill(os.getpid(), signal.SIGTERM))[0] == "stopped"
    assert task(lambda _: "") == ("stopped", "not begun")


def test_slurm_gets_no_result_of_a_job_that_it_may_begin_again(task, monkeypatch):
    def attempt(_):
        raise Interrupted(signal.SIGTERM, "saved")

    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    with pytest.raises(SystemExit) as end:
        task(attempt)
    assert end.value.code == 128 + signal.SIGTERM


def test_lines_are_marked_whole(tmp_path):
    with (tmp_path / "screen").open("w") as screen:
        print("epoch", 1, file=launched.Marked(screen, "[1/2]"))
    assert (tmp_path / "screen").read_text() == "[1/2] epoch 1\n"


def test_an_attempt_says_what_was_wrong(capsys):
    def job(_):
        raise InputError("no seed")

    assert command._attempt("train", job, ["seed=1"]) == "no seed"
    assert capsys.readouterr().err == "train: no seed\n"
