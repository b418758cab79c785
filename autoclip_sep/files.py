"""Atomic writes, fsync and memory maps: a file is whole or absent."""

import errno
import io
import itertools
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_numbers = itertools.count()
# For names of temporary files: on another machine a process may have this one's number.
_MACHINE = int.from_bytes(os.urandom(6))
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")

# What fsync and fallocate answer on file systems that lack them, such as some on FUSE.
UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Sink(io.FileIO):
    """A file written to from C code, through callbacks in which an exception would get lost."""

    _error: BaseException | None = None

    def write(self, content: Any) -> int:
        """Write all the bytes; an exception is kept for `check`."""
        left = memoryview(content)
        try:
            while left and self._error is None:
                left = left[super().write(left) :]
        except BaseException as error:
            self._error = error
        return len(content)

    def check(self) -> None:
        """Raise the first exception since the file was opened, whatever its type."""
        if self._error is not None:
            raise self._error


@contextmanager
def _replacing(path: Path, temporary: Path, durable: bool) -> Iterator[Sink]:
    """A temporary file that replaces `path` at the end of the `with`.

    durable: wait until file and folder are on the disk. An exception leaves an older file as it was
    and no temporary one; an OSError names `path`.
    """
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed; a link isn't followed
        with Sink(os.fspath(temporary), "x") as sink:
            yield sink
            sink.check()
            if durable:
                sync(sink.fileno())
        os.replace(os.fspath(temporary), path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, os.fspath(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file and wait until it is on the disk.

    Whatever happens, the file has its old content or its new one. Raises OSError, leaving nothing
    behind, where the disk is full or the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{_process()}.tmp")
    with _replacing(path, temporary, durable=True) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Sink]:
    """A file to write to that takes its place at the end of the `with`.

    An exception leaves an older file as it was, and nothing else. Raises OSError naming the file.
    There is no fsync: content that can be made again needn't wait for the disk.
    """
    temporary = path.with_name(f".{_process()}-{next(_numbers)}.tmp")
    with _replacing(path, temporary, durable=False) as sink:
        yield sink


def _process() -> int:
    """A number that no other process on any machine has."""
    return os.getpid() * 2**48 + _MACHINE


def sweep(folder: Path) -> None:
    """Delete the temporary files of killed `write_whole` calls, whatever their size.

    Only for the holder of the folder's lock: another process' file may be about to be renamed.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def sync(file: int) -> None:
    """fsync a file descriptor, unless its file system has no fsync."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _sync_folder(folder: Path) -> None:
    """fsync a folder, unless this user may not open it for reading."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        sync(file)
    finally:
        os.close(file)


def mapped(path: str | os.PathLike[str]) -> mmap.mmap:
    """A file's bytes, read from the disk as they are accessed.

    Raises OSError, naming the file, on file systems without maps, ValueError for an empty file.
    """
    # Private where there is a choice: some FUSE file systems have no other kind.
    if hasattr(mmap, "MAP_PRIVATE"):
        how = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ}
    else:
        how = {"access": mmap.ACCESS_READ}
    with open(path, "rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, **how)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
