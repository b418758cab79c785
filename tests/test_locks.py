import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.locks import exclusive
from autoclip_sep.runs import run_directory
from tests.commands import ENVIRONMENT

HOLD = """
import sys, time
from autoclip_sep.locks import exclusive
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
    """A system that opens files for reading only."""
    real = os.open

    def read_only(path: Path, flags: int, *more: Any, **others: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", read_only)


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


@pytest.mark.parametrize("hold", [run_directory.lock, lambda folder: exclusive(folder / "corpus")])
def test_a_link_in_a_locks_place_is_refused_and_its_target_left_as_it_was(
    tmp_path: Path, hold: Any
) -> None:
    """Whoever can write in a shared folder could otherwise have a file of somebody else emptied."""
    (tmp_path / "precious").write_text("mine")
    for name in (".lock", "corpus.lock"):
        (tmp_path / name).symlink_to("precious")
    with pytest.raises(InputError, match=r"lock: a lock can't be a link"), hold(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_a_lock_file_holds_stays(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("mine")
    with run_directory.lock(tmp_path):
        assert run_directory.in_use(tmp_path)
    assert not run_directory.in_use(tmp_path)
    assert (tmp_path / ".lock").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
@pytest.mark.parametrize("hold", [run_directory.lock, lambda folder: exclusive(folder / "corpus")])
def test_where_nothing_can_be_locked_work_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, hold: Any, number: int
) -> None:
    """As on some network file systems; `in_use` must not blame another process."""
    fcntl = pytest.importorskip("fcntl")

    def unsupported(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with hold(tmp_path):
        output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert f"can't be locked ({os.strerror(number)})" in output
    assert not run_directory.in_use(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_in_a_locks_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with run_directory.lock(tmp_path):
        pass
