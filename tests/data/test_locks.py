import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoclip_sep.data.locks import exclusive

HOLD = """
import sys, time
from autoclip_sep.data.locks import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_dies_gives_the_lock_back(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "new" / "corpus")]
    holder = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert waiter.poll() is None
    holder.kill()
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == "held\n"
    waiter.kill()
    for process in (holder, waiter):
        process.wait()
        process.stdout.close()
    with exclusive(tmp_path / "new" / "corpus"):
        pass
