"""Cut a store into shards and write them to a folder or to object storage; see `sharded`.

A shard bears the checksum of its content, so what is there already is known by its name and size:
an interrupted call is continued by the same one.
"""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from autoclip_sep.data.store.reading import Store, checksum, checksums_of
from autoclip_sep.data.store.remote import Remote
from autoclip_sep.data.store.samples import CHUNK, first_damaged
from autoclip_sep.data.store.sharded import FILES, LIST, PIECE, VERSION
from autoclip_sep.errors import InputError

SHARD = 64 * 2**20  # bytes
AT_ONCE = 4  # shards in memory


@dataclass(frozen=True)
class Sharded:
    """What was done: shards in all, and those that weren't there yet; bytes of samples."""

    shards: int
    written: int
    size: int


def shard(
    store: Store,
    output: str,
    statistics: bytes,
    *,
    size: int = SHARD,
    verify: bool = False,
    force: bool = False,
    progress: bool = True,
) -> Sharded:
    """Write a store in shards of `size` bytes to `output`, a URL or a folder.

    statistics: the content of check.npy. verify: read all shards, also those that were there, and
    write those again that aren't what their names say. force: take the place of another store.
    Raises InputError where another store is there, the samples are damaged, or the place can't be
    written.
    """
    if size % PIECE or size <= 0:
        raise InputError(f"shard={size / 2**20:g}: must be a multiple of {PIECE / 2**20:g} (MiB)")
    remote = Remote(output)
    if remote.exists(LIST) and not force:
        known = json.loads(remote.read(LIST)).get("fingerprint")
        if known != store.fingerprint:
            raise InputError(f"{output}: another store is there; choose another, or add force=true")
    samples = store.folder / "samples.bin"
    total = samples.stat().st_size
    sums = store.checksums if store.checksums is not None else checksums_of(samples)
    there = remote.sizes("shards")

    def part(number: int) -> tuple[str, bool]:
        start = number * size
        with open(samples, "rb") as file:
            file.seek(start)
            content = file.read(min(size, total - start))
        if first_damaged(content, sums[start // CHUNK :]) is not None:
            raise InputError(f"{samples} is damaged: delete {samples.parent}, it is made again")
        name = f"{number:06d}-{hashlib.sha256(content).hexdigest()[:32]}.bin"
        if there.get(name) == len(content) and not (verify and _differs(remote, name)):
            return name, False
        remote.write(f"shards/{name}", content)
        if verify and _differs(remote, name):
            raise InputError(f"{output}/shards/{name}: read back, it isn't what was written")
        return name, True

    numbers = range(-(-total // size))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(
            tqdm(pool.map(part, numbers), "shards", len(numbers), leave=False,
                 disable=None if progress else True)
        )  # fmt: skip
    files = _files(store, statistics, sums)
    for name, content in files.items():
        remote.write(name, content)
    found = {
        "version": VERSION,
        "fingerprint": store.fingerprint,
        "size": total,
        "shard": size,
        "shards": [name for name, _ in done],
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in FILES},
    }
    remote.write(LIST, json.dumps(found).encode())
    return Sharded(len(done), sum(written for _, written in done), total)


def _differs(remote: Remote, name: str) -> bool:
    """Whether a shard isn't what its name says, or not there."""
    try:
        content = remote.read(f"shards/{name}")
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return True
    return hashlib.sha256(content).hexdigest()[:32] not in name


def _files(store: Store, statistics: bytes, sums: NDArray[np.uint32]) -> dict[str, bytes]:
    """The store's files but its samples; with checksums also where it is older than these."""
    index = (store.folder / "index.npy").read_bytes()
    meta = json.loads((store.folder / "meta.json").read_text(encoding="utf-8"))
    meta.pop("crc32", None)
    meta["chunk"] = CHUNK
    meta["crc32"] = checksum(meta, index)
    array = io.BytesIO()
    np.save(array, sums)
    contents = (index, array.getvalue(), statistics, json.dumps(meta).encode())
    return dict(zip(FILES, contents, strict=True))
