"""The templates in slurm/ on a real Slurm: runs that are stopped end with the same bits."""

import pytest

from tests.scripts import test_prepare_wsj0_mix as discs
from tests.scripts.test_reproduce import TINY, kept_records
from tests.slurm.cluster import ROOT
from tests.slurm.test_grid import epochs, let_it_save

RUN = [*TINY, "percentile=10", "trainer.epochs=20", "trainer.threads=1"]
SMALL = ["--cpus-per-task=1", "--open-mode=append", "--output=%j.out"]


@pytest.fixture(scope="module")
def place(slurm, tmp_path_factory):
    """A checkout of its own; in `straight` is a run on two nodes that nothing happened to."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("slurm", "scripts", "train.py"):
        (folder / name).symlink_to(ROOT / name)
    check_completed(slurm, folder, submit(slurm, folder, "nodes.sbatch", *RUN, "runs=straight"))
    return folder


def submit(slurm, place, template, *arguments, options=()):
    words = ["sbatch", "--parsable", *SMALL, *options, f"slurm/{template}", *arguments]
    return slurm.run(*words, cwd=place).strip()


def said_by(place, job):
    return "\n".join(path.read_text() for path in place.glob(f"{job}*.out"))


def check_completed(slurm, place, job, state="COMPLETED"):
    ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    slurm.wait(lambda: slurm.field(job, "JobState") in ended, 300)
    assert slurm.field(job, "JobState") == state, said_by(place, job)


def check_same_records(place, runs):
    straight, disturbed = (kept_records(place / name) for name in ("straight", runs))
    assert {"dynamics.csv", "spikes.csv", "history.csv"} <= {path.name for path in straight}
    assert disturbed == straight


def held(slurm, place, job, runs, rank=1):
    """The training process of a rank, stopped after the first epoch."""
    slurm.wait(lambda: epochs(place, runs) >= 1, 300)
    (training,) = [
        one
        for one in slurm.processes(job)
        if "train.py" in one.cmdline()
        and "srun" not in one.cmdline()
        and one.environ().get("SLURM_PROCID") == str(rank)
        and "SLURM_STEP_NUM_TASKS" in one.environ()
    ]
    training.suspend()
    return training


def test_two_nodes_at_the_end_of_their_time_go_on(slurm, place):
    options = ["--signal=USR2@30"]
    job = submit(slurm, place, "nodes.sbatch", *RUN, "runs=timed", options=options)
    training = held(slurm, place, job, "timed")
    with slurm.end_soon(job):
        let_it_save(slurm, training)
    check_completed(slurm, place, job)
    assert slurm.field(job, "Restarts") == "1"
    assert "exit code 140: back into the queue" in said_by(place, job)
    check_same_records(place, "timed")


def test_a_killed_rank_ends_all_and_they_go_on(slurm, place):
    job = submit(slurm, place, "nodes.sbatch", *RUN, "runs=killed")
    held(slurm, place, job, "killed").kill()
    slurm.wait(lambda: "back into the queue" in said_by(place, job), 30)
    check_completed(slurm, place, job)
    assert slurm.field(job, "Restarts") == "1"
    assert "rank 0: rank 1 on " in said_by(place, job)
    check_same_records(place, "killed")


def test_a_node_that_is_lost_sends_the_run_back_into_the_queue(slurm, place):
    job = submit(slurm, place, "nodes.sbatch", *RUN, "runs=down")
    held(slurm, place, job, "down")
    slurm.down("node2")
    slurm.wait(lambda: slurm.field(job, "JobState") == "PENDING")
    slurm.resume("node2")
    check_completed(slurm, place, job)
    assert slurm.field(job, "Restarts") == "1"
    check_same_records(place, "down")


def test_one_node_with_two_tasks_requeued_is_the_same_run(slurm, place):
    options = ["--ntasks-per-node=2"]
    job = submit(slurm, place, "one_node.sbatch", *RUN, "runs=one", options=options)
    held(slurm, place, job, "one")
    slurm.run("scontrol", "requeue", job)
    check_completed(slurm, place, job)
    assert slurm.field(job, "Restarts") == "1"
    check_same_records(place, "one")


def test_wrong_input_does_not_come_again(slurm, place):
    job = submit(slurm, place, "nodes.sbatch", *RUN, "runs=no", "optimiser=sgd")
    check_completed(slurm, place, job, "FAILED")
    assert slurm.field(job, "Restarts") == "0"
    assert "did you mean optimizer" in said_by(place, job)


def test_an_array_prepares_a_corpus_as_one_process_does(slurm, place, tmp_path_factory):
    discs_of = discs.place.__wrapped__(tmp_path_factory)
    made = contents(discs.made.__wrapped__(discs_of))
    given = [
        f"wsj0={discs_of / 'csr_1'}", f"lists={discs_of / 'lists'}", "partial=true",
        f"out={discs_of / 'array'}",
    ]  # fmt: skip
    words = ["scripts/prepare_wsj0_mix.py", *given]
    array = submit(slurm, place, "prepare.sbatch", *words, options=["--array=3-9:2"])
    slurm.wait(lambda: not slurm.jobs(), 300)
    assert contents(discs_of / "array") == made, said_by(place, array)
    said = [path.read_text() for path in place.glob("*.out") if "shard " in path.read_text()]
    assert len(said) in (2, 3)  # two at a time may both find that nothing is missing


def contents(folder):
    return {name: data for name, data in discs.contents(folder).items() if "lock" not in name}
