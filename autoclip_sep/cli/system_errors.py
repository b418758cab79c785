"""What the operating system refuses, as a line for people: which path, what, and what to do."""

import errno
import os
from pathlib import Path

FULL = ("the disk is full", "make room and give the same command again")
DENIED = ("not permitted", "choose another folder, or ask its owner")
IN_THE_WAY = ("a file where a folder is wanted", "choose another folder")

SAID = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: ("larger than files may be", "choose another disk, or look at ulimit -f"),
    errno.EROFS: ("can't be written", "choose another folder"),
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: ("a folder where a file is wanted", "choose another name"),
    errno.ENOENT: ("not there", "look for a mistake in the path"),
    errno.ENAMETOOLONG: ("too long a name", "choose a shorter one"),
    errno.EIO: ("the disk fails", "copy what can be read to another one"),
    errno.ESTALE: ("not there any more", "give the same command again"),
    errno.EMFILE: ("too many open files", "raise the limit: ulimit -n 4096"),
    errno.ENOMEM: ("no memory left", "free some and give the same command again"),
}


def is_full(error: OSError) -> bool:
    """Whether there was no room, on the disk or in a quota."""
    return SAID.get(error.errno or 0) == FULL


def line(error: OSError) -> str:
    """As in "path: what (the system's words); what to do"; only its words where none are here."""
    path = _path(error)
    where = "" if path is None else f"{path}: "
    what, remedy = SAID.get(error.errno or 0, ("", ""))
    if not what:
        return f"{where}{error.strerror}" if error.strerror else str(error)
    return f"{where}{what} ({error.strerror}); {remedy}"


def _path(error: OSError) -> str | None:
    """The file that the error names, or the one in its way."""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return None  # none, or an open file's number
    path = Path(os.fsdecode(error.filename))
    if error.errno == errno.ENOTDIR:
        return str(next((one for one in (path, *path.parents) if one.is_file()), path))
    return str(path)
