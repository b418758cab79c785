"""Locks that the system releases when their process dies, however it dies.

Not by the package filelock: it neither waits for a lock that can only be read nor carries on where
the file system has no locks (ENOLCK, ENOTSUP, EBADF).
"""

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
except ImportError:  # on Windows nothing is locked
    fcntl = None  # type: ignore[assignment]

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# The answers of file systems without locks, some FUSE and network ones. EBADF is that of NFS for a
# file that is open for reading only.
UNSUPPORTED = (
    errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF,
)  # fmt: skip

# A link could lead to any file of the user's; opening a FIFO could block forever.
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class _InUse(Exception):
    pass


@contextmanager
def held(path: Path, busy: Callable[[], None], shared: bool = False) -> Iterator[None]:
    """Lock the file `path` for this process; it is created if missing, and its content stays.

    shared: with others that share it.

    busy: called where another process holds the lock, before waiting for it; it may raise instead.
    Nothing is locked, and one line is printed, on a file system without locks; nothing is locked
    where the file is missing and can't be created. Raises InputError for a link in its place.
    """
    file = _open(path)
    try:
        if file is not None and fcntl is not None:
            _lock(file, path, busy, shared)
        yield
    finally:
        if file is not None:
            os.close(file)


@contextmanager
def exclusive(path: str | os.PathLike[str], shared: bool = False) -> Iterator[None]:
    """Hold `<path>.lock`: one process makes a corpus or a store, others wait for it.

    shared: several make parts of it, and nobody makes or finishes the whole meanwhile.
    Nothing is locked where the lock file is missing and can't be created: nothing can be made there
    then, but existing files can be used.
    """

    def wait() -> None:
        print(shown(f"waiting for the process that is making {path}"), file=sys.stderr)

    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with held(lock, wait, shared):
        yield


def in_use(path: Path) -> bool:
    """Whether another process holds the lock file `path` now; not where there is no such file."""

    def refuse() -> None:
        raise _InUse

    if not path.exists():
        return False
    try:
        with held(path, refuse):
            return False
    except _InUse:
        return True


def _open(path: Path) -> int | None:
    """A descriptor of the file, read-only where another user owns it: that is enough to wait."""
    for mode in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(path, mode | PLAIN, 0o666)
        except FileNotFoundError:
            if mode & os.O_CREAT:
                raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError(f"{path}: a lock can't be a link; remove it") from error
            if error.errno not in READ_ONLY or not mode & os.O_CREAT:
                raise
    return None


def _lock(file: int, path: Path, busy: Callable[[], None], shared: bool) -> None:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, kind)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise OSError(error.errno, error.strerror, str(path)) from error
        _warn(path, error.strerror)


@cache
def _warn(path: Path, why: str) -> None:
    """Once for each lock."""
    line = f"{path}: can't be locked ({why}); run one process at a time there"
    print(shown(line), file=sys.stderr)
