"""What the operating system refuses, as a line for people: which path, what, and what to do."""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

FULL = ("the disk is full", "make room and give the same command again")
DENIED = ("not permitted", "choose another folder, or ask its owner")
IN_THE_WAY = ("a file in the place of a folder", "choose another folder")

SAID = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: ("larger than files may be", "choose another disk, or look at ulimit -f"),
    errno.EROFS: ("can't be written", "choose another folder"),
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
    errno.EISDIR: ("a folder in the place of a file", "choose another name"),
    errno.ENOENT: ("not there", "look for a mistake in the path"),
    errno.ENAMETOOLONG: ("too long a name", "choose a shorter one"),
    errno.EIO: ("the disk fails", "copy what can be read to another one"),
    errno.ESTALE: ("not there any more", "give the same command again"),
    errno.EMFILE: ("too many open files", "raise the limit: ulimit -n 4096"),
    errno.ENOMEM: ("no memory left", "free some and give the same command again"),
}

# How Python, numpy, torch and oneDNN say that a size is beyond memory, or a processor can't do it.
TOO_LARGE = re.compile(
    "can't allocate memory|out of memory|not enough memory|bad_alloc|Storage size calculation overf"
    "|array is too big|Maximum allowed dimension|Overflow when unpacking|too large to convert to C"
)
UNSUPPORTED = "could not create a primitive"


def is_full(error: OSError) -> bool:
    """Whether there was no room, on the disk or in a quota."""
    return SAID.get(error.errno or 0) == FULL


def of_sizes(error: BaseException) -> str | None:
    """A line for what asks for more memory than there is, or isn't known to the processor.

    None for all else: a fault of ours keeps its traceback.
    """
    text = " ".join(str(error).partition("\n")[0].split())[:300]
    if isinstance(error, MemoryError) or TOO_LARGE.search(str(error)):
        return (
            f"not enough memory ({text or type(error).__name__}): make the network, the batch or "
            "the segment smaller"
        )
    if isinstance(error, RuntimeError) and UNSUPPORTED in text:
        return f"this processor can't compute that ({text}): trainer.precision=fp32 always works"
    return None


def memory() -> int:
    """The bytes of memory that this process can have at most."""
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # "max" where there is no bound
        bounds.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    return min(bounds)


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
