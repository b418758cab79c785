"""Locks that the system gives back when the process dies, whatever kills it."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown

try:
    import fcntl
except ImportError:  # no such call on Windows: one process at a time is up to the user
    fcntl = None  # type: ignore[assignment]

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# What a file system without locks answers: some FUSE and network file systems. EBADF is NFS' answer
# for a file that is open for reading only.
UNSUPPORTED = (
    errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF,
)  # fmt: skip

# A link could lead to any file of the user's; to open a FIFO could take for ever.
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def held(path: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold the file `path`, made if it isn't there and left as it is: one process at a time.

    busy: called where another process holds it, before this one waits; it may raise instead.
    Nothing is held, and one line is printed, on a file system without locks; nothing is held where
    there is no such file and none can be written. Raises InputError for a link in its place.
    """
    file = _open(path)
    try:
        if file is not None and fcntl is not None:
            _lock(file, path, busy)
        yield
    finally:
        if file is not None:
            os.close(file)


@contextmanager
def exclusive(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `<path>.lock`: one process makes a corpus or a store, others wait and find it made.

    Nothing is held where there is no lock and none can be written: nothing can be made there then,
    but what is there can be used.
    """

    def wait() -> None:
        print(shown(f"waiting for the process that is making {path}"), file=sys.stderr)

    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with held(lock, wait):
        yield


def _open(path: Path) -> int | None:
    """The file, if only for reading, as where another user made it: that is enough to wait."""
    for mode in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(path, mode | PLAIN, 0o666)
        except FileNotFoundError:
            if mode & os.O_CREAT:
                raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{path}: a link where a lock is wanted; remove it") from error
            if error.errno not in READ_ONLY or not mode & os.O_CREAT:
                raise
    return None


def _lock(file: int, path: Path, busy: Callable[[], None]) -> None:
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise OSError(error.errno, error.strerror, str(path)) from error
        _warn(path, error.strerror)


@cache
def _warn(path: Path, why: str) -> None:
    """Once for each lock."""
    line = f"{path}: nothing can be locked there ({why}); let one process at a time work there"
    print(shown(line), file=sys.stderr)
