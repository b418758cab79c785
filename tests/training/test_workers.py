"""DataLoader workers: signals to all of them, and a run that loses one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from autoclip_sep.runs import run_directory
from tests.commands import ENVIRONMENT
from tests.conftest import can_mount
from tests.training.small_runs import everything, trainer

PROGRAM = """
import pathlib, sys
from autoclip_sep.cli.command import exit_codes
from autoclip_sep.data.store.reading import Store
from tests.training.small_runs import trainer

with exit_codes("train"):
    trainer(pathlib.Path(sys.argv[1]), Store(sys.argv[2]), epochs=12, workers=2).fit()
"""
WORK = {"start_new_session": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def start(directory, store):
    """A run in a process group of its own, as `timeout` starts it, after its first steps."""
    call = [sys.executable, "-c", PROGRAM, str(directory), str(store.folder)]
    before = run_directory.read_state(directory).get("step", 0)
    process = subprocess.Popen(call, env=ENVIRONMENT, text=True, **WORK)
    rows = directory / "dynamics.csv"
    deadline = time.monotonic() + 120
    while not rows.exists() or rows.read_bytes().count(b"\n") < 2 + before // 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def straight(tmp_path_factory, tiny_store):
    directory = tmp_path_factory.mktemp("straight")
    trainer(directory, tiny_store, epochs=12).fit()
    return everything(directory)


def test_a_signal_to_all_processes_saves_every_time(tmp_path, tiny_store, straight, assert_same):
    for _ in range(2):
        process = start(tmp_path, tiny_store)
        os.killpg(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, errors
        assert run_directory.read_state(tmp_path)["status"] == "interrupted"
        assert "saved" in errors
        assert errors.count("\n") == 1, errors
    trainer(tmp_path, tiny_store, epochs=12).fit()
    assert_same(everything(tmp_path), straight)


def test_a_killed_worker_is_one_line_and_the_work_is_saved(
    tmp_path, tiny_store, straight, assert_same
):
    process = start(tmp_path, tiny_store)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    if not os.path.exists(children):
        process.kill()
        pytest.skip("the system doesn't list a process' children")
    with open(children, encoding="ascii") as file:
        workers = [int(child) for child in file.read().split() if is_worker(child)]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert errors.count("\n") == 1, errors
    assert "worker" in errors
    assert run_directory.read_state(tmp_path)["status"] == "interrupted"
    trainer(tmp_path, tiny_store, epochs=12).fit()
    assert_same(everything(tmp_path), straight)


def test_too_small_a_shared_memory_is_one_line_and_no_hang(tmp_path, tiny_store):
    """Docker gives 64 MB; here no batch fits."""
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount, "sh", sys.executable, "-c", PROGRAM, str(tmp_path),
         str(tiny_store.folder)],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "saved at step 1" in done.stderr
    assert "/dev/shm" in done.stderr


def is_worker(child):
    """Whether it isn't multiprocessing's resource tracker."""
    with open(f"/proc/{child}/cmdline", "rb") as file:
        return b"tracker" not in file.read()
