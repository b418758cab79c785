"""One process at a time makes a corpus or a store; the others wait and find it made."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `<path>.lock` (advisory, released by the system if the process dies)."""
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a", encoding="ascii") as file:
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
