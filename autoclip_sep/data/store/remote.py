"""Objects below a URL, through fsspec: with retries, checked lengths, one line for what is wrong.

Each process opens its own connections, also after a fork.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from autoclip_sep.data.store.once import Once
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import shown
from autoclip_sep.optional import require

PATIENCE = 120.0  # seconds of failed attempts after which a server counts as gone
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # seconds between two attempts; doubled each time
# Of botocore, which is there only where S3 is read. Another attempt finds none either.
NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError")
Result = TypeVar("Result")

# Retries are ours: the client's own ones would multiply them.
S3_OPTIONS = {
    "use_listings_cache": False,
    "config_kwargs": {
        "connect_timeout": 10,
        "read_timeout": 30,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": 32,
    },
}


class Remote:
    """The objects below a URL (s3://bucket/prefix, memory://, file://, ...) or a local folder.

    patience: seconds for which failed attempts are repeated. Raises InputError for an unknown kind
    of URL, or one whose package isn't installed.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.url, self.patience = url.rstrip("/"), patience
        self._opened: tuple[int, Any, str] | None = None
        self._says_why = Once()
        self.stopped = threading.Event()  # ends what waits for a server in other threads
        self._files()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "patience": self.patience}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __str__(self) -> str:
        return self.url

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """An object, or bytes start to stop of it.

        Raises InputError where it is missing, shorter than that, or can't be read for `patience`.
        """

        def attempt() -> bytes:
            files, root = self._files()
            found: bytes = files.cat_file(f"{root}/{name}", start=start, end=stop)
            if start is not None and stop is not None and len(found) != stop - start:
                raise OSError(f"{len(found)} bytes arrived, not {stop - start}")
            return found

        return self._repeated(attempt, name)

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whole or not at all where the store can do that (S3, local folders)."""

        def attempt() -> None:
            files, root = self._files()
            path = f"{root}/{name}"
            if "file" in files.protocol:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                write_whole(Path(path), content)
            else:
                files.pipe_file(path, content)

        self._repeated(attempt, name)

    def sizes(self, folder: str) -> dict[str, int]:
        """Names and sizes in bytes of the objects in a folder, empty where it isn't there."""

        def attempt() -> dict[str, int]:
            files, root = self._files()
            files.invalidate_cache()
            try:
                rows = files.ls(f"{root}/{folder}", detail=True)
            except FileNotFoundError:
                return {}
            return {row["name"].rpartition("/")[2]: int(row["size"] or 0) for row in rows}

        return self._repeated(attempt, folder)

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""

        def attempt() -> bool:
            files, root = self._files()
            files.invalidate_cache()
            return bool(files.exists(f"{root}/{name}"))

        return self._repeated(attempt, name)

    def _files(self) -> tuple[Any, str]:
        """This process' file system, and the path that the URL is in it."""
        if self._opened is None or self._opened[0] != os.getpid():
            fsspec = require("fsspec", "data.store")
            local = "://" not in self.url
            options = S3_OPTIONS if self.url.startswith(("s3://", "s3a://")) else {}
            try:
                files, root = fsspec.core.url_to_fs(
                    os.path.abspath(self.url) if local else self.url, **options
                )
            except ImportError as error:
                raise InputError(f"{self.url}: {error}; pip install 'autoclip_sep[s3]'") from error
            except ValueError as error:
                raise InputError(f"{self.url}: {error}") from error
            self._opened = os.getpid(), files, root.rstrip("/")
            self.stopped = threading.Event()
        return self._opened[1:]

    def _repeated(self, attempt: Callable[[], Result], name: str) -> Result:
        """What the attempt gives, repeated while that may help."""
        url, wait = f"{self.url}/{name}", FIRST_WAIT
        end = time.monotonic() + self.patience
        while True:
            try:
                return attempt()
            except InputError:
                raise
            except FileNotFoundError as error:
                raise InputError(
                    f"{url}: isn't there; make the sharded store (again) with"
                    " python scripts/shard_store.py"
                ) from error
            except PermissionError as error:
                raise InputError(f"{url}: access refused ({_why(error)}); credentials?") from error
            except Exception as error:  # of fsspec, the client and the network: many kinds
                if type(error).__name__ in NO_CREDENTIALS:
                    raise InputError(f"{url}: {_why(error)}; set those of the client") from error
                if time.monotonic() + wait > end or self.stopped.is_set():
                    self.stopped.set()
                    raise InputError(
                        f"{url}: can't be reached for {self.patience:g} s ({_why(error)}); check"
                        " address, network and credentials, then give the same command again"
                    ) from error
                if self._says_why():
                    said = f"{url}: {_why(error)}; trying again for up to {self.patience:g} s"
                    print(shown(said), file=sys.stderr, flush=True)
            self.stopped.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)


def _why(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
