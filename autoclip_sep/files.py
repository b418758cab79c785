"""Files that are whole or absent."""

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
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")

# What fsync and fallocate answer on file systems that can't, such as some of FUSE's.
UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name in its own folder, bring it to the disk, then rename it.

    Whatever happens, the file has its old content or its new one. Raises OSError, leaving nothing
    behind, where the disk is full or the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed; a link isn't followed
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.filename in (None, os.fspath(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def sweep(folder: Path) -> None:
    """Delete what `write_whole` left in a folder where it was killed, of whatever size.

    Only for who holds the folder's lock: somebody else's file may be about to get its name.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def sync(file: int) -> None:
    """Wait until a file or folder, by its number, is on the disk, where the disk can say so."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def mapped(path: str | os.PathLike[str]) -> mmap.mmap:
    """A file's bytes, of which only those are read that are looked at.

    Raises OSError, naming the file, on file systems without maps, ValueError for an empty file.
    """
    # Private, where there is a choice: it is the only kind that some FUSE file systems have.
    if hasattr(mmap, "MAP_PRIVATE"):
        how = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ}
    else:
        how = {"access": mmap.ACCESS_READ}
    with open(path, "rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, **how)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error


class Sink(io.FileIO):
    """A file written to from C code, through callbacks in which an exception would get lost."""

    _error: BaseException | None = None

    def write(self, content: Any) -> int:
        """Take all the bytes; what goes wrong is kept for `check`."""
        left = memoryview(content)
        try:
            while left and self._error is None:
                left = left[super().write(left) :]
        except BaseException as error:
            self._error = error
        return len(content)

    def check(self) -> None:
        """Raise the first error since the file was opened, OSError or whatever it was."""
        if self._error is not None:
            raise self._error


@contextmanager
def whole_file(path: Path) -> Iterator[Sink]:
    """A file to write to that takes its place at the end of the `with`.

    Whatever ends the `with` early leaves an older file as it was, and nothing else. Raises OSError
    naming the file. It isn't brought to the disk: what can be made again needn't wait for that.
    """
    # In the same folder: a rename across file systems would not be one operation.
    temporary = path.with_name(f".{os.getpid()}-{next(_numbers)}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with Sink(os.fspath(temporary), "x") as sink:
            yield sink
            sink.check()
        os.replace(os.fspath(temporary), path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, os.fspath(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _sync_folder(folder: Path) -> None:
    """The same for a folder, which only its reader can open."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        sync(file)
    finally:
        os.close(file)
