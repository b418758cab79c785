import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoclip_sep.data import locks
from autoclip_sep.data.locks import exclusive
from tests.commands import ENVIRONMENT

HOLD = """
import sys, time
from autoclip_sep.data.locks import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_dies_gives_the_lock_back(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "new" / "corpus")]
    holder = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
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


def refuse_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that opens files for reading only, whoever asks."""

    def read_only(path: Path, mode: str = "r", **more: str) -> object:
        if mode != "r":
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return open(path, mode, **more)

    monkeypatch.setattr(locks, "open", read_only, raising=False)


def test_where_nothing_can_be_written_nothing_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_writing(monkeypatch)
    with exclusive(tmp_path / "corpus"), exclusive(tmp_path / "corpus"):
        assert not list(tmp_path.iterdir())


def test_a_lock_that_can_only_be_read_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    with exclusive(tmp_path / "corpus"):
        pass
    refuse_writing(monkeypatch)
    with (
        exclusive(tmp_path / "corpus"),
        open(tmp_path / "corpus.lock") as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_another_fault_of_the_system_is_no_leave(tmp_path: Path) -> None:
    (tmp_path / "corpus.lock").mkdir()
    with pytest.raises(IsADirectoryError), exclusive(tmp_path / "corpus"):
        pass
