"""The main job in small: train two runs side by side, evaluate, draw; then once more."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from autoclip_sep.cli.commands import reproduce
from autoclip_sep.cli.grid import jobs as grid_jobs
from autoclip_sep.cli.grid.runs import plan_all, read_grid
from autoclip_sep.cli.grid.side_by_side import Job
from tests import own_code
from tests.commands import command, start

TINY = [
    "experiment=demo", "model.hidden=8", "trainer.epochs=2", "trainer.batch_size=4",
    "trainer.segment=3200", "trainer.record_every=2", "data.corpus.train=16",
    "data.corpus.valid=4", "data.corpus.test=3", "data.corpus.speakers=4",
    "data.corpus.test_speakers=2", "data.corpus.utterances=4",
]  # fmt: skip


# Nothing is drawn, which takes longer than the runs, and these are forked off the script itself.
LIGHT = """
import os
from types import SimpleNamespace
from autoclip_sep.cli.grid import side_by_side
from autoclip_sep.cli.commands import reproduce
from autoclip_sep.cli.main import COMMANDS
from tests.forked import ROOT, become

class Run:
    def __init__(self, words, stdout, stderr, env):
        name, *arguments = words[4:]  # Python -P -m MODULE
        call = [str(ROOT / COMMANDS[name][0]), *arguments]
        self.pid, self.code = os.fork(), None
        if self.pid == 0:
            null = os.open(os.devnull, os.O_RDWR)
            message = {"call": call, "cwd": os.getcwd(), "env": env, "session": False}
            become(message, [null, os.dup(stdout.fileno()), os.dup(stdout.fileno())])

    def poll(self, how=os.WNOHANG):
        if self.code is None:
            pid, status = os.waitpid(self.pid, how)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self):
        return self.poll(0)

    def terminate(self):
        if self.poll() is None:
            os.kill(self.pid, 15)

side_by_side.subprocess = SimpleNamespace(Popen=Run, STDOUT=None)
reproduce.figures.run = lambda words: print("drawn:", *words)
reproduce.report.of_pairs = lambda directories, folder: None
reproduce.main()
"""


def script(place, name, *arguments, check=0):
    done = command(place, name, *arguments, check=check)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    script(folder, "scripts/reproduce.py", *TINY)
    (folder / "light.py").write_text(LIGHT)
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
    report = (place / "figures" / "report.html").read_text()
    assert "AutoClip p = 10 against no clipping" in report
    assert report.count("<audio") == 3 * (1 + 2 + 2 * 2)  # mixture, references, estimates of both


def test_a_second_call_changes_nothing(place):
    before = records_in(place)
    said = script(place, "scripts/reproduce.py", *TINY)
    assert records_in(place) == before
    assert "done:" not in said


def test_kept_records_draw_the_same_figure_and_table(place):
    script(place, "scripts/keep_records.py", "runs=runs", "output=kept")
    assert not list(place.glob("kept/**/*.pt"))
    script(place, "scripts/draw_figures.py", "runs=kept", "output=again")
    table = (place / "again" / "results.md").read_text()
    assert table == (place / "figures" / "results.md").read_text()
    names = [{path.name for path in place.glob(f"{folder}/*")} for folder in ("figures", "again")]
    assert names[0] == names[1] | {"report.html"}


def test_a_failing_run_is_reported_and_the_others_are_drawn(place):
    given = [*TINY, "percentile=10", "trainer.batch_size=4,64", "runs=other"]
    said = script(place, place / "light.py", *given, check=1)
    assert "drawn: runs=other output=figures" in said
    assert said.count("=64: the split has 16 examples only") == 1
    assert len(list(place.glob("other/*/*/*/*/seed*/evaluation/test.csv"))) == 1


def test_stopped_from_outside_it_takes_its_runs_along(place):
    process = start(place, place / "light.py", *TINY, "trainer.epochs=500", "runs=long")
    while len(list(place.glob("long/*/*/*/*/*/history.csv"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    for state in place.glob("long/*/*/*/*/*/state.json"):
        assert '"interrupted"' in state.read_text()


def started(place, *arguments, output=subprocess.DEVNULL):
    """The command in a process group of its own."""
    return start(
        place, place / "light.py", *TINY, *arguments,
        stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def wait_for(place, pattern, process):
    """Until a file matches, or the process has ended."""
    while not list(place.glob(pattern)) and process.poll() is None:
        time.sleep(0.02)


def kept_records(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*.csv") if path.name != "timing.csv"
    }  # fmt: skip


def test_killed_and_called_again_it_ends_with_the_same_records(place):
    settings = ["percentile=10", "runs=killed"]
    for moment in ("history.csv", "evaluation/test.csv"):
        process = started(place, *settings)
        wait_for(place, f"killed/*/*/*/*/*/{moment}", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    script(place, place / "light.py", *TINY, *settings)
    records, straight = kept_records(place / "killed"), kept_records(place / "runs")
    names = {path.name for path in records}
    assert names >= {"dynamics.csv", "spikes.csv", "history.csv", "test.csv"}
    assert records.items() <= straight.items()


def test_runs_that_outlive_a_killed_call_are_waited_for(place, tmp_path):
    """SIGKILL for the parent alone: its runs go on, and hold their directories.

    They stand still until the second call has seen them, so that it can't come too late.
    """
    settings = ["percentile=10", "runs=orphans", "trainer.epochs=12"]
    first = started(place, *settings)
    wait_for(place, "orphans/*/*/*/*/*/history.csv", first)
    os.killpg(first.pid, signal.SIGSTOP)
    first.kill()
    first.wait()
    said = tmp_path / "said"
    try:
        with said.open("w") as output:
            second = started(place, *settings, output=output)
        while "in use by another process" not in said.read_text() and second.poll() is None:
            time.sleep(0.02)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert second.wait(timeout=120) == 0, said.read_text()
    assert "in use by another process" in said.read_text()
    assert "failed" not in said.read_text()
    for state in place.glob("orphans/*/*/*/*/*/state.json"):
        assert '"finished"' in state.read_text()


@pytest.mark.parametrize(
    ("scale", "runs", "networks"),
    [("demo", 16, {"blstm_demo"}), ("full", 39, {"blstm_demo"}),
     ("paper", 39, {"blstm", "blstm_small"})],
)  # fmt: skip
def test_a_scale_plans_its_runs(scale, runs, networks):
    """5 losses x 2 or 7 percentiles, and the clippings compared; at paper scale Figure 1 too."""
    planned = [run for _, run in plan_all(read_grid([f"scale={scale}"]))]
    assert len(planned) == runs
    assert {run.directory.parts[3] for run in planned} == networks
    pairs = {(run.directory.parts[2], run.directory.parts[4]) for run in planned}
    for loss in ("deep_clustering", "whitened_kmeans", "chimera", "mask_inference", "snr"):
        assert {(loss, "autoclip_p10"), (loss, "autoclip_p100")} <= pairs
    if scale == "paper":
        assert {run.config["data"]["corpus"]["train"] for run in planned} == {20000}
        assert {run.settings.batch_size for run in planned} == {25}


def test_each_loss_is_drawn_once_its_runs_have_ended(tmp_path):
    losses = ["snr", "mask_inference", "snr", "mask_inference", "chimera"]
    runs = [
        (SimpleNamespace(config={"loss": {"name": loss}}), Job(f"{loss}{n}", [], tmp_path, float))
        for n, loss in enumerate(losses)
    ]
    jobs = grid_jobs.with_drawings(runs, tmp_path / "runs")
    assert [job.name for job in jobs] == [
        "snr0", "mask_inference1", "snr2", "figures of snr", "mask_inference3",
        "figures of mask_inference", "chimera4",
    ]  # fmt: skip
    assert [job.name for job in jobs[3].after] == ["snr0", "snr2"]


def test_failed_runs_are_named_though_the_drawing_fails_too(tmp_path, monkeypatch, capsys):
    def full(words):
        raise OSError(28, "No space left on device")

    run = SimpleNamespace(config={"runs": "runs", "data": {}, "loss": {"name": "snr"}})
    job = Job("one run", [], tmp_path, float, failure="exit code 2: too loud")
    for name, value in (
        ("plan_all", lambda _: [([], run)]), ("is_done", lambda _: False),
        ("prepare_all", lambda _: {"{}": None}), ("run_all", lambda *_: [job]),
        ("figures", SimpleNamespace(run=full)),
    ):  # fmt: skip
        monkeypatch.setattr(reproduce, name, value)
    monkeypatch.setattr(grid_jobs, "steps_of", lambda *_: 1)
    monkeypatch.setattr(grid_jobs, "of_run", lambda *_: job)
    with pytest.raises(OSError, match="No space left"):
        reproduce.reproduce(["experiment=smoke"])
    assert "failed: one run: exit code 2: too loud" in capsys.readouterr().err


def test_progress_is_the_share_of_steps(tmp_path):
    assert grid_jobs._share_of_steps(tmp_path, 200, None) == 0
    (tmp_path / "dynamics.csv").write_text("step,epoch,loss\n")
    assert grid_jobs._share_of_steps(tmp_path, 200, None) == 0
    (tmp_path / "dynamics.csv").write_text("step,epoch,loss\n20,1,0.5\n40,1,0.4\n")
    assert grid_jobs._share_of_steps(tmp_path, 200, None) == 0.2


def test_files_of_ones_own_are_passed_on_to_every_run(tmp_path, monkeypatch):
    (tmp_path / "mine" / "clipping").mkdir(parents=True)
    (tmp_path / "mine/clipping/ours.yaml").write_text("_target_: ours.Ours\nthreshold: 1\n")
    (tmp_path / "ours.py").write_text(
        "from autoclip_sep.clipping import NormClipping\n\n\nclass Ours(NormClipping):\n    pass\n"
    )
    own_code.add(monkeypatch, tmp_path, "mine")
    grid = read_grid(["experiment=smoke", "clipping=ours"])
    ((words, planned),) = plan_all(grid)
    (_, train), (_, evaluate) = grid_jobs.of_run(words, planned, 1).commands
    assert f"--config-dir={tmp_path / 'mine'}" in train
    assert "clipping=ours" in train
    assert "trust=[ours]" in evaluate


def test_a_corpus_of_ones_own_takes_the_place_of_the_scales(tmp_path):
    own = ["data=wsj0_2mix", f"data.root={tmp_path}"]
    grid = read_grid(["scale=demo", *own])
    planned = [run for _, run in plan_all(grid)]
    assert len(planned) == 16
    assert {run.directory.parts[1] for run in planned} == {"wsj0_2mix"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("reproduce", ["experiment=demmo"], "did you mean demo"),
        ("reproduce", ["scale=huge"], "must be one of demo, full, paper"),
        ("reproduce", ["scale=demo", "experiment=demo"], "which runs?"),
        ("reproduce", ["scale=demo", "together=none"], "together=none: must be an integer"),
        ("reproduce", ["scale=demo", "optimiser=sgd"], "did you mean optimizer"),
        ("reproduce", ["percentile=10"], "which runs?"),
        ("reproduce", ["launcher=slrm"], "launcher=slrm: must be one of local, slurm"),
        ("reproduce", ["slurm.partition=gpu"], "only launcher=slurm has this setting"),
        ("reproduce", ["launcher=slurm", "together=3"], "it is slurm.array_parallelism=..."),
        ("reproduce", ["launcher=slurm", "slurm.partitoin=gpu"], "did you mean partition"),
        ("reproduce", ["launcher=slurm", "slurm.timeout_min=soon"], "slurm.timeout_min"),
        ("reproduce", ["launcher=slurm", "slurm=nowhere.yaml"], "there is no such file"),
        ("reproduce", ["launcher=slurm", "slurm.timeout_min=1"], "that is all of"),
        ("reproduce", ["--config-dir=nowhere"], "--config-dir=nowhere: there is no such folder"),
        ("figures", ["runs=nowhere"], "no runs below nowhere"),
        ("figures", ["run=runs"], "did you mean runs"),
    ],
)
def test_mistakes_are_one_line(tmp_path, here, name, arguments, message):
    said = here(tmp_path, name, *arguments, check=2).stderr
    assert message in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ([], "sbatch and squeue are not on PATH"),
        (["sbatch", "squeue"], "needs the package submitit"),
    ],
)
def test_what_slurm_needs_is_told_before_anything_is_made(
    tmp_path, here, monkeypatch, commands, message
):
    for name in commands:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "submitit", None)  # as where it isn't installed
    (tmp_path / "empty").mkdir()
    said = here(tmp_path / "empty", "reproduce", *TINY, "launcher=slurm", check=2).stderr
    assert message in said
    assert len(said.splitlines()) == 1
    assert not list((tmp_path / "empty").iterdir())


def test_without_slurm_submitit_is_not_imported(tmp_path, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    said = here(tmp_path, "reproduce", "experiment=demo", "data=nothing", check=2).stderr
    assert "submitit" not in said
