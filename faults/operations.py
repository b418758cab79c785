"""Something done at the n-th operation that changes files, for every n."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# Audit events of operations on files, and which of their arguments name the files.
CHANGES = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)

Act = Callable[[int, str, str], None]


def watch(folder: Path, act: Act, reading: bool = False) -> None:
    """Call ``act(number, operation, path)`` before each operation below a folder, from now on.

    Operations are opening to write, renaming, removing, making folders and fsync; with `reading`
    they are opening to read instead. What is raised takes the operation's place. It can't be
    undone: for processes that end with what is tried.
    """
    root, count = os.path.abspath(folder), 0

    def happens(operation: str, path: object) -> None:
        nonlocal count
        if not isinstance(path, str | os.PathLike):
            return
        place = os.path.abspath(path)
        if place.startswith(root):
            count += 1
            act(count, operation, os.path.relpath(place, root))

    def heard(event: str, given: tuple[object, ...]) -> None:
        if event == "open" and isinstance(given[2], int):
            if bool(given[2] & WRITING) is not reading:
                happens("open", given[0])
        elif event in CHANGES and not reading:
            happens(event, given[CHANGES[event] - 1])

    def fsync(descriptor: int) -> None:
        if not reading:
            happens("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    sync, os.fsync = os.fsync, fsync  # it is no audit event
    sys.addaudithook(heard)


def kill(at: int) -> Act:
    """Ends the process by SIGKILL at operation number `at`."""

    def act(number: int, operation: str, path: str) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def fail(at: int, error: int) -> Act:
    """Raises OSError with an errno at operation number `at`."""

    def act(number: int, operation: str, path: str) -> None:
        if number == at:
            raise OSError(error, os.strerror(error), path)

    return act


def note(file: Path) -> Act:
    """Writes each operation into a file, a line each."""
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def act(number: int, operation: str, path: str) -> None:
        os.write(out, f"{operation} {path}\n".encode())

    return act
