"""One of two processes killed: the launcher ends in seconds, and both go on to equal records."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.trained import assert_same_runs
from tests.commands import ENVIRONMENT, ROOT
from tests.golden.make import TRAIN, only_run

LONG = ("trainer.epochs=20",)
ALONE = {"GLOO_SOCKET_IFNAME": "lo"}


def launch(place, name):
    """train.py in two processes, as torchrun starts it."""
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    call += [str(ROOT / "train.py"), *TRAIN, *LONG, f"runs={name}"]
    with open(place.folder / f"{name}.log", "w") as log:
        how = {"cwd": place.folder, "stdout": log, "stderr": subprocess.STDOUT}
        return subprocess.Popen(call, env={**ENVIRONMENT, **ALONE}, **how)


def finish(place, name):
    assert launch(place, name).wait(timeout=300) == 0, (place.folder / f"{name}.log").read_text()
    return only_run(place.folder / name)


def step_of(folder):
    for path in folder.glob("*/*/*/*/*/state.json"):
        return json.loads(path.read_text())["step"]
    return 0


def children(pid):
    """The processes that a process began, oldest first."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(number) for number in text.split()]


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc to find processes in")
def test_one_of_two_processes_is_killed(place, measured):
    straight = finish(place, "two")
    waited = []
    for number, step in enumerate((1, 20, 40, 60)):
        name = f"two{number}"
        process = launch(place, name)
        while step_of(place.folder / name) < step:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(children(process.pid)[number % 2], signal.SIGKILL)
        began = time.monotonic()
        assert process.wait(timeout=120) != 0
        waited.append(time.monotonic() - began)
        assert_same_runs(straight, finish(place, name))
    measured(
        f"{len(waited)} kills of one of two processes: the launcher ended within "
        f"{max(waited):.0f} s, all went on to equal records"
    )
