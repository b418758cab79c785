"""A store in shards, in a folder or in object storage: `<place>/{shards.json, shards/..., ...}`.

The shards are samples.bin cut into parts of equal size, each named by its number and its sha256;
index.npy, crc32.npy, check.npy and meta.json are those of the store. shards.json lists all of them
and is written last. Batches are those of the store, to the bit, since places are the same.

Object storage is read in pieces of 256 KiB, which a `PieceCache` keeps; a piece gets there only
when it has the checksums of the store. A folder of this machine is read without a cache.
"""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep.data.store.cache import PieceCache
from autoclip_sep.data.store.reading import Store
from autoclip_sep.data.store.remote import Remote
from autoclip_sep.data.store.samples import CHUNK, Range, first_damaged
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole

LIST = "shards.json"
FILES = ("index.npy", "crc32.npy", "check.npy", "meta.json")
VERSION = 1
PIECE = 4 * CHUNK  # bytes that are read from object storage at once
THREADS = 16  # pieces that a process gets at the same time


def is_sharded(place: str) -> bool:
    """Whether data.store names such a store, rather than the folder for decoded corpora."""
    return "://" in place or (Path(place) / LIST).exists()


def open_store(place: str, cache: str | os.PathLike[str], limit: int) -> Store:
    """The store at a URL, or in a folder.

    cache: the folder that keeps what was read from a URL, `limit` bytes of samples; the files that
    are no samples are kept there whole. Raises InputError where it is missing or damaged.
    """
    remote = Remote(place)
    content = remote.read(LIST)
    try:
        found = json.loads(content)
        if found["version"] != VERSION or found["shard"] % PIECE:
            raise ValueError("another version")
        names, files = list(found["shards"]), {name: found["files"][name] for name in FILES}
        if len(names) != -(-found["size"] // found["shard"]):
            raise ValueError(f"{len(names)} shards")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}/{LIST}: not a list of shards ({error})") from error

    kept = PieceCache(cache, limit) if "://" in place else None
    folder = Path(place)
    if kept is not None:
        folder = kept.folder / "stores" / hashlib.sha256(content).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    for name, digest in files.items():
        _get(remote, name, digest, folder, kept is not None)

    shards = partial(ShardedSamples, remote, names, found["shard"], found["size"], kept)
    return Store(folder, place=place, shards=shards)


def _get(remote: Remote, name: str, digest: str, folder: Path, copy: bool) -> None:
    """One of the store's small files into the folder, unless it is there."""
    path = folder / name
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return
    content = remote.read(name) if copy else b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"{remote}/{name}: isn't what {LIST} says; make the sharded store again with"
            " python scripts/shard_store.py"
        )
    write_whole(path, content)


class ShardedSamples:
    """The samples of a store in shards; each process checks what it reads from a disk once.

    names: of the shards, `shard` bytes each but the last, `size` bytes in all. checksums:
    (chunks,). cache: None where the shards lie in a folder of this machine.
    """

    def __init__(
        self, remote: Remote, names: Sequence[str], shard: int, size: int,
        cache: PieceCache | None, dtype: DTypeLike, checksums: NDArray[np.uint32],
    ) -> None:  # fmt: skip
        self._remote, self._names, self._shard, self._size = remote, names, shard, size
        self._dtype, self._checksums, self._cache = np.dtype(dtype), checksums, cache
        self._compared = np.zeros(len(checksums), bool)
        self.far = cache is not None
        self._threads: tuple[int, _Threads] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Each process has its own threads, and checks what it reads.
        return self.__dict__ | {"_threads": None, "_compared": np.zeros_like(self._compared)}

    def block(
        self, offset: int, shape: tuple[int, int, int], start: int, stop: int, name: str
    ) -> NDArray[Any]:
        """As `Samples.block`: a copy."""
        signals, length, channels = shape
        size, width = length * channels, self._dtype.itemsize
        ranges = [
            (own + start * channels, own + stop * channels)
            for own in range(offset, offset + signals * size, size)
        ]
        if len(self._pieces(ranges)) > 1:
            self.fetch(ranges, wait=True)
        parts = [self._bytes(first * width, last * width, name) for first, last in ranges]
        return np.frombuffer(b"".join(parts), self._dtype).reshape(signals, stop - start, channels)

    def fetch(self, ranges: Sequence[Range], wait: bool) -> None:
        """As `Samples.fetch`: into the cache, by several threads."""
        if self._cache is None:
            return
        missing = [piece for piece in self._pieces(ranges) if self._key(piece) not in self._cache]
        if not missing:
            return
        if self._threads is None or self._threads[0] != os.getpid():
            self._threads = os.getpid(), _Threads(self)
        started = self._threads[1].submit(missing, first=wait)
        if wait:
            for one in started:
                one.result()

    def get(self, piece: int) -> bytes:
        """A piece from the object storage, if need be, into the cache; checked.

        Raises InputError where it can't be had or isn't what was stored.
        """
        assert self._cache is not None
        key, start = self._key(piece), piece * PIECE
        size = min(PIECE, self._size - start)
        with self._cache.fetching(key):
            found = self._cache.read(key, 0, size)
            if found is not None and self._wrong(found, start) is None:
                return found
            content, wrong = b"", None
            for _ in range(2):  # a wrong byte may be the network's
                content = self._remote.read(*self._place(start, start + size))
                wrong = self._wrong(content, start)
                if wrong is None:
                    break
            if wrong is not None:
                name = self._place(start, start + size)[0]
                raise InputError(
                    f"{self._remote}/{name}: changed since the store was made (checksum of"
                    f" {CHUNK} bytes from byte {wrong % self._shard} on); restore it, or upload it"
                    " again with python scripts/shard_store.py verify=true"
                )
            self._cache.add(key, content)
        return content

    def _bytes(self, start: int, stop: int, name: str) -> bytes:
        """Bytes start to stop of samples.bin."""
        parts = []
        for piece in range(start // PIECE, -(-stop // PIECE)):
            first, last = max(start, piece * PIECE), min(stop, (piece + 1) * PIECE)
            # Whole chunks, as these have checksums.
            begin = first // CHUNK * CHUNK
            end = min(-(-last // CHUNK) * CHUNK, self._size)
            found = self._near(piece, begin, end)
            parts.append(found[first - begin : last - begin])
        return b"".join(parts)

    def _near(self, piece: int, start: int, stop: int) -> bytes:
        """Whole chunks of a piece from this machine's disk, or from far away into it."""
        chunks = slice(start // CHUNK, -(-stop // CHUNK))
        offset = piece * PIECE
        if self._cache is None:
            found = self._remote.read(*self._place(start, stop))
            if (
                not self._compared[chunks].all()
                and (wrong := self._wrong(found, start)) is not None
            ):
                name = self._place(start, stop)[0]
                raise InputError(
                    f"{self._remote}/{name}: damaged within {CHUNK} bytes from byte"
                    f" {wrong % self._shard} on; restore it, or make the sharded store again with"
                    " python scripts/shard_store.py"
                )
        else:
            kept = self._cache.read(self._key(piece), start - offset, stop - offset)
            known = bool(self._compared[chunks].all())
            if kept is None or not (known or self._wrong(kept, start) is None):
                if kept is not None:
                    self._cache.remove(self._key(piece))  # the cache's disk had it wrong
                kept = self.get(piece)[start - offset : stop - offset]
            found = kept
        self._compared[chunks] = True
        return found

    def _wrong(self, content: bytes, start: int) -> int | None:
        """The byte from which on the first chunk of the content lies that isn't what it was."""
        chunk = first_damaged(content, self._checksums[start // CHUNK :])
        return None if chunk is None else start + chunk * CHUNK

    def _pieces(self, ranges: Sequence[Range]) -> list[int]:
        width, found = self._dtype.itemsize, dict[int, None]()
        for first, last in ranges:
            if last > first:
                pieces = range(first * width // PIECE, -(-last * width // PIECE))
                found.update(dict.fromkeys(pieces))
        return list(found)

    def _key(self, piece: int) -> str:
        name, start, _ = self._place(piece * PIECE, 0)
        return f"{name.removeprefix('shards/')}/{start // PIECE:06d}"

    def _place(self, start: int, stop: int) -> tuple[str, int, int]:
        """The shard that has these bytes, and where in it they are."""
        number = start // self._shard
        first = number * self._shard
        return f"shards/{self._names[number]}", start - first, stop - first


class _Threads:
    """Threads that get pieces; they end with the process, whatever they wait for."""

    def __init__(self, samples: ShardedSamples) -> None:
        self._samples = samples
        self._queue: SimpleQueue[tuple[int, Future[None]]] = SimpleQueue()
        self._urgent: SimpleQueue[tuple[int, Future[None]]] = SimpleQueue()
        self._asked: dict[int, Future[None]] = {}
        self._lock = threading.Lock()
        for queue in [self._urgent, self._queue]:
            for _ in range(THREADS // 2):
                threading.Thread(target=self._work, args=(queue,), daemon=True).start()

    def submit(self, pieces: Sequence[int], first: bool) -> list[Future[None]]:
        """Begin to get pieces, unless that has begun. first: before those that can wait."""
        started = []
        for piece in pieces:
            with self._lock:
                future = self._asked.get(piece)
                if future is None:
                    future = self._asked[piece] = Future()
                    (self._urgent if first else self._queue).put((piece, future))
            started.append(future)
        return started

    def _work(self, queue: "SimpleQueue[tuple[int, Future[None]]]") -> None:
        while True:
            piece, future = queue.get()
            try:
                self._samples.get(piece)
                error = None
            except BaseException as caught:
                error = caught
            with self._lock:
                del self._asked[piece]
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
