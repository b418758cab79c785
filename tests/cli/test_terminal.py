"""A terminal whose window is closed, or whose ssh breaks off, while a run goes on."""

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from autoclip_sep.runs import run_directory
from tests.commands import ENVIRONMENT, ROOT

TRAIN = ["experiment=smoke", "trainer.epochs=2000", "trainer.threads=1", "runs=runs"]


def close_in_mid_run(place: Path, until: bytes, *, nohup: bool) -> int:
    """Train in a terminal until it says something, close the terminal; the process."""
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover
        os.chdir(place)
        # The tests themselves may run under nohup.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
        os.execve(sys.executable, [sys.executable, str(ROOT / "train.py"), *TRAIN], ENVIRONMENT)
    said, deadline = b"", time.monotonic() + 300
    while until not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 1)[0]:
            said += os.read(terminal, 4096)
    os.close(terminal)
    return process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both runs share a corpus."""
    return tmp_path_factory.mktemp("terminal")


def test_the_end_of_a_terminal_saves(place: Path) -> None:
    process = close_in_mid_run(place, b"epoch   2", nohup=False)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    (run,) = place.glob("runs/*/*/*/*/seed*")
    state = run_directory.read_state(run)
    assert state["status"] == "interrupted"
    assert (run / "checkpoints" / f"last-{state['step']:09d}-{state['epochs']:05d}.pt").is_file()


def test_under_nohup_the_run_goes_on(place: Path) -> None:
    process = close_in_mid_run(place, b"epoch", nohup=True)
    (run,) = place.glob("runs/*/*/*/*/seed*")
    before, deadline = run_directory.read_state(run)["step"], time.monotonic() + 120
    try:
        while run_directory.read_state(run)["step"] < before + 24:
            assert os.waitpid(process, os.WNOHANG) == (0, 0)
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
