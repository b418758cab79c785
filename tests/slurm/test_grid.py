"""Grids of runs on a real Slurm: whatever happens to a job, its run ends with the same records."""

import json
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.scripts.test_reproduce import TINY, kept_records

ASKED = ["gpus_per_node=null", "cpus_per_task=1", "mem_gb=null", "poll_s=1"]
ON_SLURM = ["launcher=slurm", *(f"slurm.{one}" for one in ASKED)]
# One run, long enough to be met while it trains.
LONG = [*TINY, "percentile=10", "trainer.epochs=30", "trainer.threads=1"]

TIMED = ["slurm.timeout_min=9", "slurm.signal_delay_s=30"]  # see Cluster.end_soon

# Nothing is drawn, which takes longer than the runs.
LIGHT = """
from autoclip_sep.cli.commands import reproduce

reproduce.figures.run = lambda words: print("drawn:", *words)
reproduce.report.of_pairs = lambda directories, folder: None
reproduce.main()
"""


@pytest.fixture(scope="module")
def place(slurm, tmp_path_factory):
    """A folder with the corpus, and in `straight` the long run, which nothing happened to."""
    folder = tmp_path_factory.mktemp("grid")
    (folder / "light.py").write_text(LIGHT)
    said = on_slurm(slurm, folder, *LONG, "runs=straight")
    assert "drawn: runs=straight output=figures" in said
    return folder


def begun(slurm, place, *arguments):
    return slurm.python(place / "light.py", *arguments, cwd=place)


def ended(process, check=0):
    said, _ = process.communicate(timeout=600)
    assert process.returncode == check, said
    return said


def on_slurm(slurm, place, *arguments, check=0):
    return ended(begun(slurm, place, *ON_SLURM, *arguments), check)


def epochs(place, runs):
    """How many epochs the one run there has recorded."""
    found = list(place.glob(f"{runs}/*/*/*/*/*/history.csv"))
    return found[0].read_text().count("\n") - 1 if found else 0


def held(slurm, place, runs):
    """The job that trains below `runs`, and its training process, stopped after its first epoch."""
    slurm.wait(lambda: epochs(place, runs) >= 1, 300)
    (job,) = slurm.jobs("RUNNING")
    (training,) = [one for one in slurm.processes(job) if "-P" in one.cmdline()]
    training.suspend()
    return job, training


def let_it_save(slurm, training):
    """Wait for SIGUSR2, then let the training go on, unless Slurm has done so and it has ended."""

    def signalled():
        try:
            status = Path(f"/proc/{training.pid}/status").read_text()
        except OSError:
            return True
        (pending,) = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd")]
        return int(pending, 16) & 1 << signal.SIGUSR2 - 1

    slurm.wait(signalled)
    with suppress(psutil.NoSuchProcess):
        training.resume()


def arrays(place, runs):
    return sorted(path.name for path in place.glob(f"{runs}/.submitit/reproduce-*"))


def check_same_records(place, runs):
    straight, disturbed = (kept_records(place / name) for name in ("straight", runs))
    names = {path.name for path in straight}
    assert names >= {"dynamics.csv", "spikes.csv", "history.csv", "test.csv"}
    assert disturbed == straight


def times_restarted(slurm, job):
    return int(slurm.field(job, "Restarts"))


def test_a_job_that_is_requeued_resumes(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, "runs=requeued")
    job, _ = held(slurm, place, "requeued")
    slurm.run("scontrol", "requeue", job)
    said = ended(head)
    assert "submitting again" not in said
    assert times_restarted(slurm, job) == 1
    check_same_records(place, "requeued")


def test_a_job_whose_time_is_over_saves_and_goes_back_into_the_queue(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, *TIMED, "runs=timed")
    job, training = held(slurm, place, "timed")
    with slurm.end_soon(job):
        let_it_save(slurm, training)
    said = ended(head)
    assert "submitting again" not in said
    assert times_restarted(slurm, job) == 1
    (log,) = place.glob(f"timed/.submitit/*/{job}_0_log.err")
    assert "this job is timed-out" in log.read_text()
    check_same_records(place, "timed")


def test_a_job_that_may_not_go_back_again_says_so_and_is_saved(slurm, place):
    once = "slurm.max_num_timeout=0"
    head = begun(slurm, place, *ON_SLURM, *LONG, *TIMED, once, "runs=over")
    job, training = held(slurm, place, "over")
    slurm.limit_time(job)
    let_it_save(slurm, training)
    (line,) = [
        one
        for one in ended(head, check=1).splitlines()
        if one.startswith("failed: ") and ": saved" in one
    ]
    assert "timed-out too many times" in line
    (state,) = place.glob("over/*/*/*/*/*/state.json")
    assert json.loads(state.read_text())["status"] == "interrupted"


def test_a_killed_job_is_submitted_again(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, "runs=killed")
    job, _ = held(slurm, place, "killed")
    for process in slurm.processes(job):
        if process.is_running():
            process.kill()
    said = ended(head)
    assert said.count("submitting again") == 1
    assert len(arrays(place, "killed")) == 2
    check_same_records(place, "killed")


def test_a_killed_run_is_told_in_a_line_and_the_same_command_resumes(slurm, place):
    """As by the system when memory runs out: the training alone is killed, its job can tell."""
    settings = [*LONG, "runs=starved", "slurm.max_num_killed=0"]
    head = begun(slurm, place, *ON_SLURM, *settings)
    _, training = held(slurm, place, "starved")
    training.kill()
    said = ended(head, check=1)
    (line,) = [one for one in said.splitlines() if "SIGKILL" in one]
    assert line.startswith("failed: starved/demo/")
    assert "drawn: " in said
    on_slurm(slurm, place, *settings)
    check_same_records(place, "starved")


def test_a_node_that_is_set_down_loses_its_job_to_another(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, "runs=moved")
    job, _ = held(slurm, place, "moved")
    before = slurm.field(job, "NodeList")
    slurm.down(before)
    ended(head)
    assert slurm.field(job, "NodeList") != before
    assert times_restarted(slurm, job) == 1
    check_same_records(place, "moved")


def test_a_cancelled_job_is_not_submitted_again(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, "runs=cancelled")
    job, training = held(slurm, place, "cancelled")
    slurm.run("scancel", job)
    training.resume()
    said = ended(head, check=1)
    assert ": cancelled; the same command resumes" in said
    assert len(arrays(place, "cancelled")) == 1


def test_ctrl_c_leaves_the_job_and_a_second_call_waits_for_it(slurm, place):
    head = begun(slurm, place, *ON_SLURM, *LONG, "runs=left")
    _, training = held(slurm, place, "left")
    head.send_signal(signal.SIGINT)
    said = ended(head, check=130)
    assert "1 jobs stay in the queue" in said
    assert psutil.pid_exists(training.pid)
    again = begun(slurm, place, *ON_SLURM, *LONG, f"runs={place / 'left'}")
    time.sleep(1)
    training.resume()
    assert "1 jobs found in the queue" in ended(again)
    assert len(arrays(place, "left")) == 1
    check_same_records(place, "left")


def test_a_failure_is_told_in_one_line_and_the_others_are_drawn(slurm, place):
    settings = [*TINY, "percentile=10", "trainer.batch_size=4,64", "runs=partly"]
    said = on_slurm(slurm, place, *settings, check=1)
    assert said.count("=64: the split has 16 examples only") == 1
    assert "drawn: runs=partly output=figures" in said
    assert len(list(place.glob("partly/*/*/*/*/seed*/evaluation/test.csv"))) == 1


def test_what_slurm_refuses_is_one_line(slurm, place):
    said = on_slurm(slurm, place, *LONG, "runs=no", "slurm.partition=nowhere", check=2)
    (line,) = [one for one in said.splitlines() if one.startswith("reproduce: ")]
    assert "invalid partition specified: nowhere" in line


def test_a_job_that_can_not_begin_says_why(slurm, place):
    """More processors than a node has: sbatch refuses that, but not too long a time."""
    long = ["slurm.partition=other", "slurm.timeout_min=100"]
    head = begun(slurm, place, *ON_SLURM, *LONG, *long, "runs=waits")
    slurm.wait(lambda: slurm.jobs("PENDING"))
    time.sleep(3)
    head.send_signal(signal.SIGINT)
    assert "waiting: PartitionTimeLimit" in ended(head, check=130)


def test_the_35_runs_of_a_table_whatever_happens_to_some(slurm, place):
    """As many as Table 1 has; one job is killed, one requeued, and a node lost for a while."""
    seeds = f"seed={','.join(map(str, range(35)))}"
    settings = [*TINY, "percentile=10", "trainer.epochs=1", "trainer.threads=1", seeds]
    given = [*settings, "runs=table", "slurm.array_parallelism=4"]
    began = time.monotonic()
    head = begun(slurm, place, *ON_SLURM, *given)
    scored = "table/*/*/*/*/seed*/evaluation/test.json"
    slurm.wait(lambda: len(list(place.glob(scored))) >= 4, 300)
    first, second = list(slurm.jobs("RUNNING"))[:2]
    for process in slurm.processes(first):
        if process.is_running():
            process.kill()
    slurm.run("scontrol", "requeue", second, check=False)  # unless it has just ended
    slurm.wait(lambda: len(list(place.glob(scored))) >= 12, 300)
    slurm.down("node2")
    head.send_signal(signal.SIGINT)
    said = ended(head, check=130)
    assert "35 jobs submitted" in said
    slurm.resume("node2")
    again = on_slurm(slurm, place, *given)
    assert "jobs found in the queue" in again
    assert len(list(place.glob(scored))) == 35
    assert "failed" not in said + again
    assert "drawn: runs=table output=figures" in again
    print(f"35 jobs in {time.monotonic() - began:.0f} s")
    assert "submitted" not in on_slurm(slurm, place, *given)
