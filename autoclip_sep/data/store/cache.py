"""A folder of pieces of a store that lies elsewhere, bounded in bytes, shared by all processes.

A piece is a file that is whole or absent. What was used least recently is deleted first, 10 % of
the limit at a time, before a new piece would pass it. The folder may be deleted at any time.
"""

import contextlib
import os
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from autoclip_sep.data.store.once import Once
from autoclip_sep.errors import InputError
from autoclip_sep.files import whole_file
from autoclip_sep.locks import held
from autoclip_sep.names import shown

LEAST = 2**24  # bytes that make sense as a limit
KEPT = 0.9  # of the limit, after some were deleted
STRIPES = 64  # locks that keep two processes from fetching the same piece
ABANDONED = 600  # seconds after which an unfinished file is a killed process'


class PieceCache:
    """Pieces by key, a relative path. limit: bytes of all pieces together.

    Raises InputError for a limit that is too small to make sense, or a folder that can't be made.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self.folder, self.limit = Path(folder), limit
        if limit < LEAST:
            raise InputError(
                f"data.cache_size={limit / 1e9:g}: must be at least {LEAST / 1e9:.3f} (GB)"
            )
        self._pieces, self._locks = self.folder / "pieces", self.folder / "locks"
        try:
            self._pieces.mkdir(parents=True, exist_ok=True)
            self._locks.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}: can't be written ({error.strerror}); choose another folder with"
                " data.cache=..."
            ) from error
        self._says_full = Once()

    def __contains__(self, key: str) -> bool:
        return (self._pieces / key).exists()

    def read(self, key: str, start: int, stop: int) -> bytes | None:
        """Bytes start to stop of a piece, None where it isn't there."""
        path = self._pieces / key
        try:
            with open(path, "rb", buffering=0) as file:
                found = os.pread(file.fileno(), stop - start, start)
            os.utime(path)  # the time of its last use
        except FileNotFoundError:
            return None
        return found if len(found) == stop - start else None

    @contextlib.contextmanager
    def fetching(self, key: str) -> Iterator[None]:
        """Held by who gets a piece: others wait, and then find it."""
        stripe = zlib.crc32(key.encode()) % STRIPES  # the same in every process, unlike `hash`
        with held(self._locks / f"{stripe:02d}", lambda: None):
            yield

    def add(self, key: str, content: bytes) -> None:
        """Keep a piece, if there is room; where the disk is full, it is said once."""
        path = self._pieces / key
        try:
            # One at a time: what was counted and isn't written yet would be counted no more.
            with held(self.folder / "bytes", lambda: None):
                self._make_room(len(content))
                path.parent.mkdir(exist_ok=True)
                with whole_file(path) as file:
                    file.write(content)
        except OSError as error:
            if self._says_full():
                said = f"data.cache: {self.folder}: {error.strerror}; reading goes on without it"
                print(shown(said), file=sys.stderr, flush=True)

    def remove(self, key: str) -> None:
        """Delete a piece, if it is there."""
        (self._pieces / key).unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Count `size` bytes more in the folder, and delete old pieces where that is too much."""
        path = self.folder / "bytes"
        try:
            total = int(path.read_text() or 0)
        except ValueError:  # of a killed process
            total = self.limit
        if total + size > self.limit:
            total = self._shrink(int(KEPT * self.limit) - size)
        path.write_text(str(total + size))

    def _shrink(self, goal: int) -> int:
        """Delete what was used least recently until `goal` bytes are left; how many are."""
        found = []
        for path in self._pieces.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                if path.name.endswith(".tmp") and state.st_mtime < time.time() - ABANDONED:
                    path.unlink(missing_ok=True)
                else:
                    found.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= goal:
                break
            if not path.name.endswith(".tmp"):
                path.unlink(missing_ok=True)
                total -= size
        return total
