"""Audio files into a store: in parallel, whole or not at all, and again only if they changed."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep import audio
from autoclip_sep.data.locks import exclusive
from autoclip_sep.data.parallel import in_parallel, release
from autoclip_sep.data.store import INDEX, MIXTURE, VERSION, Item, Store
from autoclip_sep.errors import InputError

TOLERANCE = 2.0 * 2.0**-15  # 2 LSB of 16 bits: what rounding mixture and signals can add up to
SIXTEEN_BITS = {"PCM_16", "PCM_S8", "PCM_U8"}  # libsndfile's names of what int16 holds exactly
Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


def prepare(
    folder: str | os.PathLike[str],
    sample_rate: int,
    items: Sequence[Item],
    *,
    progress: bool = True,
    jobs: int | None = None,
) -> Store:
    """The items' store in `folder`, made or made anew where their files changed.

    Splits keep the order in which they first occur, and items that of their split.
    Raises InputError for broken files, another sample rate, signals of unequal length or channels.
    """
    target = Path(folder)
    splits = list(dict.fromkeys(item.split for item in items))
    items = sorted(items, key=lambda item: splits.index(item.split))
    with exclusive(target):
        if target.exists():
            store = Store(target)
            if _is_current(target, store.fingerprint, items):
                return store
        partial_folder = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        partial_folder.mkdir(parents=True)
        _convert(partial_folder, sample_rate, items, jobs, progress)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial_folder, target)
        release()
    return Store(target)


@dataclass(frozen=True)
class Layout:
    """One item's shape and place. offset: in samples.bin, in samples."""

    item: Item
    length: int
    channels: int
    sixteen_bits: bool
    offset: int = 0

    @property
    def values(self) -> int:
        return len(self.item.signals) * self.length * self.channels


def _convert(
    folder: Path, sample_rate: int, items: Sequence[Item], jobs: int | None, progress: bool
) -> None:
    run = partial(in_parallel, jobs=jobs, progress=progress)
    # The state of the files before they are read: a later change is then always noticed.
    stamps = {path: _stamp(path) for path in _paths(items)}
    layouts = run(partial(measure, sample_rate=sample_rate), items, label="headers")
    _check_uniform(layouts)
    dtype = "int16" if all(layout.sixteen_bits for layout in layouts) else "float32"
    ends = np.cumsum([layout.values for layout in layouts])
    layouts = [
        Layout(old.item, old.length, old.channels, old.sixteen_bits, int(end) - old.values)
        for old, end in zip(layouts, ends, strict=True)
    ]
    samples = folder / "samples.bin"
    with open(samples, "wb") as file:
        file.truncate(int(ends[-1]) * np.dtype(dtype).itemsize)
    results = run(partial(decode, samples, dtype), layouts, label="store")
    differing = [layout for layout, (_, differs) in zip(layouts, results, strict=True) if differs]
    mixtures = _append_mixtures(samples, dtype, differing, int(ends[-1]))
    digests = {path: digest for found, _ in results for path, digest in found.items()}
    splits: dict[str, list[str]] = {}
    for item in items:
        splits.setdefault(item.split, []).append(item.name)
    meta = {
        "version": VERSION,
        "sample_rate": sample_rate,
        "dtype": dtype,
        "values": samples.stat().st_size // np.dtype(dtype).itemsize,
        "fingerprint": fingerprint(digests, items),
        "splits": splits,
    }
    np.save(folder / "index.npy", _index(layouts, mixtures))
    (folder / "files.json").write_text(json.dumps(stamps), encoding="utf-8")
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def measure(item: Item, sample_rate: int) -> Layout:
    """The item's shape from its files' headers (task)."""
    paths = [signal.path for signal in item.signals] + ([item.mixture] if item.mixture else [])
    headers = [audio.info(path) for path in paths]
    for path, header in zip(paths, headers, strict=True):
        if header.sample_rate != sample_rate:
            raise InputError(f"{path}: {header.sample_rate} Hz, the corpus has {sample_rate} Hz")
    shapes = {(header.frames, header.channels) for header in headers}
    if len(shapes) > 1:
        parts = (
            f"{Path(path).parent.name} {header.frames} x {header.channels}"
            for path, header in zip(paths, headers, strict=True)
        )
        raise InputError(f"{item.name}: signals of unequal length or channels: {', '.join(parts)}")
    exact = all(header.subtype in SIXTEEN_BITS for header in headers)
    return Layout(item, headers[0].frames, headers[0].channels, exact)


def decode(samples: Path, dtype: str, layout: Layout) -> tuple[dict[str, str], bool]:
    """Write the item's signals into samples.bin (task).

    Returns the digest of each file, and whether the mixture's file differs from their sum.
    """
    digests = {}
    shape = (len(layout.item.signals), layout.length, layout.channels)
    block = np.memmap(samples, dtype, "r+", layout.offset * np.dtype(dtype).itemsize, shape)
    total = np.zeros(shape[1:])
    scale = 2.0**-15 if dtype == "int16" else 1.0
    for row, signal in zip(block, layout.item.signals, strict=True):
        row[:] = audio.read(signal.path, dtype=dtype)[0].T
        total += row * scale
        digests[os.path.abspath(signal.path)] = _digest(signal.path)
    del block  # written to the file here
    if layout.item.mixture is None:
        return digests, False
    mixture = audio.read(layout.item.mixture, dtype=np.float64)[0].T
    digests[os.path.abspath(layout.item.mixture)] = _digest(layout.item.mixture)
    return digests, bool(np.abs(mixture - total).max(initial=0.0) > TOLERANCE)


def fingerprint(digests: dict[str, str], items: Sequence[Item]) -> str:
    """sha256 over items, splits, targets, and the names, sizes and contents of their files.

    Names count from the files' common folder: a corpus may move.
    """
    root = os.path.commonpath([os.path.dirname(path) for path in digests])
    total = hashlib.sha256()
    for item in items:
        rows = [(item.split, item.name)]
        rows += [(str(s.target), os.path.relpath(s.path, root)) for s in item.signals]
        rows += [("mixture", os.path.relpath(item.mixture, root))] if item.mixture else []
        total.update(json.dumps(rows).encode())
    for path in sorted(digests):
        total.update(f"{os.path.relpath(path, root)}\0{digests[path]}\n".encode())
    return total.hexdigest()


def _is_current(folder: Path, known: str, items: Sequence[Item]) -> bool:
    """Whether the store was made from these files as they are now."""
    try:
        recorded = json.loads((folder / "files.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        recorded = {}
    stamps = {path: _stamp(path) for path in _paths(items)}
    if recorded == {path: list(stamp) for path, stamp in stamps.items()}:
        return True
    # Copied or touched, perhaps: only the contents can tell.
    if fingerprint({path: _digest(path) for path in stamps}, items) != known:
        return False
    temporary = folder / f"files.json.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(stamps), encoding="utf-8")
    os.replace(temporary, folder / "files.json")
    return True


def _append_mixtures(
    samples: Path, dtype: str, layouts: Sequence[Layout], end: int
) -> dict[int, int]:
    """Offsets of the mixtures that aren't their signals' sum, by their item's offset."""
    offsets = {}
    with open(samples, "ab") as file:
        for layout in layouts:
            assert layout.item.mixture is not None
            values = audio.read(layout.item.mixture, dtype=dtype)[0].T
            file.write(np.ascontiguousarray(values).tobytes())
            offsets[layout.offset] = end
            end += values.size
    return offsets


def _index(layouts: Sequence[Layout], mixtures: dict[int, int]) -> NDArray[np.void]:
    rows: list[tuple[Any, ...]] = []
    for number, layout in enumerate(layouts):
        size = layout.length * layout.channels
        shape = (layout.length, layout.channels)
        for position, signal in enumerate(layout.item.signals):
            offset = layout.offset + position * size
            rows.append((number, position, signal.target, offset, *shape))
        if layout.offset in mixtures:
            rows.append((number, MIXTURE, False, mixtures[layout.offset], *shape))
    return np.array(rows, dtype=INDEX)


def _check_uniform(layouts: Sequence[Layout]) -> None:
    """One memory layout for all: the same signals and channels in every item."""
    if not layouts:
        raise InputError("the corpus is empty")
    first = layouts[0]
    for layout in layouts:
        targets = [signal.target for signal in layout.item.signals]
        if targets != [signal.target for signal in first.item.signals]:
            raise InputError(f"{layout.item.name}: other signals than {first.item.name}")
        if layout.channels != first.channels:
            raise InputError(
                f"{layout.item.name}: {layout.channels} channels, {first.item.name} has"
                f" {first.channels}"
            )


def _paths(items: Sequence[Item]) -> list[str]:
    paths = {os.path.abspath(signal.path) for item in items for signal in item.signals}
    paths |= {os.path.abspath(item.mixture) for item in items if item.mixture}
    return sorted(paths)


def _stamp(path: str) -> Stamp:
    try:
        state = os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: can't be opened ({error.strerror})") from error
    return state.st_size, state.st_mtime_ns


def _digest(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
