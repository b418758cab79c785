"""Checks of a file before and after a decoder has refused it."""

import os
import stat

from autoclip_sep.errors import InputError


def check(path: str | os.PathLike[str]) -> None:
    """Raises InputError unless the path is a regular file that can be read.

    Called before it is opened: opening a FIFO or a device can block forever.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            raise InputError(f"{path}: a link to {os.readlink(path)}, which is missing") from error
        raise InputError(f"{path}: can't be opened ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: a folder, not an audio file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: not a plain file (a pipe, socket or device); write it to a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: can't be opened (permission denied)")


def as_a_path(path: str | os.PathLike[str]) -> str:
    """The same file for libraries that read some names as protocols: `-`, `pipe:0`, `a:b.m4a`."""
    return os.path.join(os.curdir, path)


def why_not_audio(path: str | os.PathLike[str], reason: str) -> str:
    """One line on how the file begins: a saved web page is the usual cause."""
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        return f"{path}: not audio, the file is empty (0 bytes)"
    if not head.strip(b"\0"):
        return f"{path}: not audio, it begins with zeros only"
    if head.lstrip().startswith(b"<"):
        return f"{path}: not audio but a web page or XML; fetch the file itself"
    return f"{path}: not audio that libsndfile or PyAV reads ({reason})"
