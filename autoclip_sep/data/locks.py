"""One process at a time makes a corpus or a store; the others wait and find it made."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def exclusive(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `<path>.lock` (advisory, released by the system if the process dies).

    Nothing is held where there is no lock and none can be written: nothing can be made there then,
    but what is there can be used.
    """
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = _open(lock)
    if file is None:
        yield
        return
    with file:
        try:
            import fcntl
        except ImportError:  # no such call on Windows: one process at a time is up to the user
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for the process that is making {path}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(lock: Path) -> TextIO | None:
    """The file, if only for reading, as where another user made it: that is enough to wait."""
    try:
        return open(lock, "a", encoding="ascii")
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    try:
        return open(lock, encoding="ascii")
    except FileNotFoundError:
        return None
