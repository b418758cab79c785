"""Two machines, of which one is lost: the other ends in seconds, both go on to the same bits."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoclip_sep.runs import run_directory
from tests import machines
from tests.training.small_runs import everything

SCRIPT = Path(__file__).with_name("lost_machine.py")
STEP = {
    "SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "machine[1-2]", "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _network():
    if why := machines.missing():
        pytest.skip(why)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, tiny_store):
    """The run that nothing happened to, started by torchrun."""
    directory = tmp_path_factory.mktemp("straight") / "run"
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=machine1", "--master-port=29511"]
    with machines.two() as both:
        launch = [sys.executable, "-m", "torch.distributed.run", *meeting]
        ended(
            machine.start(
                [*launch, f"--node-rank={n}", *program(directory, tiny_store)], **PIPES
            )
            for n, machine in enumerate(both)
        )  # fmt: skip
    return directory


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}


def program(directory, store, *here):
    return [str(SCRIPT), str(directory), str(store.folder), *map(str, here)]


def by_srun(both, words):
    return [
        machine.start([sys.executable, *words], {**STEP, "SLURM_PROCID": str(n)}, **PIPES)
        for n, machine in enumerate(both)
    ]


def ended(processes, code=0):
    """What processes say that end with this exit code."""
    processes = list(processes)
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [code] * len(processes), said
    return said


def wait_for(file, processes):
    while not file.exists():
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.05)


def go_on(directory, store):
    assert run_directory.read_state(directory)["status"] == "running"
    with machines.two() as both:
        ended(by_srun(both, program(directory, store)))


def test_a_machine_behind_a_cut_cable(tmp_path, tiny_store, straight, assert_same):
    """Nobody tells either that the other is gone; both find out within 20 seconds."""
    words = program(tmp_path / "run", tiny_store, tmp_path / "here")
    with machines.two() as both:
        processes = by_srun(both, words)
        wait_for(tmp_path / "here", processes)
        began = time.monotonic()
        both[1].unplug()
        first, second = ended(processes, code=1)
        assert time.monotonic() - began < 25
    assert "rank 0: rank 1 on machine2 is gone (" in first
    assert "rank 1: rank 0 on machine1 is gone (" in second
    go_on(tmp_path / "run", tiny_store)
    assert_same(everything(tmp_path / "run"), everything(straight))


def test_a_machine_whose_process_is_killed(tmp_path, tiny_store, straight, assert_same):
    words = program(tmp_path / "run", tiny_store, tmp_path / "here")
    with machines.two() as both:
        first, second = by_srun(both, words)
        wait_for(tmp_path / "here", [first, second])
        began = time.monotonic()
        second.kill()
        (said,) = ended([first], code=1)
        assert time.monotonic() - began < 10
        second.communicate()
    assert "rank 0: " in said
    go_on(tmp_path / "run", tiny_store)
    assert_same(everything(tmp_path / "run"), everything(straight))
