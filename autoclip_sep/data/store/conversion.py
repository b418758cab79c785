"""Decode audio files into a store: in parallel, whole or not at all, again only if they changed."""

import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.data import _refusal as refusal
from autoclip_sep.data.store import fingerprints
from autoclip_sep.data.store.decoding import Layout, decode, decode_mixture, measure
from autoclip_sep.data.store.reading import (
    CHUNK,
    INDEX,
    MIXTURE,
    VERSION,
    Item,
    Store,
    checksum,
    checksums_of,
)
from autoclip_sep.errors import InputError
from autoclip_sep.files import UNSUPPORTED, write_whole
from autoclip_sep.locks import exclusive
from autoclip_sep.names import shown
from autoclip_sep.parallel import MANY, in_parallel, release


def prepare(
    folder: str | os.PathLike[str],
    sample_rate: int,
    items: Sequence[Item],
    *,
    tolerance: float | None = None,
    progress: bool = True,
    jobs: int | None = None,
) -> Store:
    """The items' store in `folder`, made or made anew where their files changed.

    Splits keep the order in which they first occur, and items that of their split. tolerance: how
    far a mixture's file may lie from the sum of its signals (full scale is 1); None: any distance.
    Raises InputError for broken files, another sample rate, signals of unequal length or channels,
    mixtures beyond the tolerance (all of them listed), and a mixture that is in two splits.
    """
    # A link is followed first: a finished store couldn't be renamed into its place.
    target = Path(os.path.realpath(folder) if os.path.islink(folder) else folder)
    splits = list(dict.fromkeys(item.split for item in items))
    items = sorted(items, key=lambda item: splits.index(item.split))
    if fingerprints.is_untouched(target, items):  # without a lock: the disk may be read-only
        return Store(target, items)
    with exclusive(target):
        if target.exists():
            store = Store(target, items)
            if fingerprints.is_current(target, store.fingerprint, items):
                return store
        partial_folder = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        state = "not made of the files as they are now" if target.exists() else "not there"
        _make_folder(partial_folder, target, state)
        if progress:
            said = f"data: {target}: {state}, {len(items):,} mixtures are decoded now"
            print(shown(said), file=sys.stderr, flush=True)
        try:
            _convert(partial_folder, sample_rate, items, tolerance, jobs, progress)
        except BaseException as error:
            shutil.rmtree(partial_folder, ignore_errors=True)
            if isinstance(error, OSError) and error.filename is None:
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial_folder, target)
        release()
    return Store(target, items)


def _make_folder(folder: Path, target: Path, state: str) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"{target}: {state}, and nothing can be written there ({error.strerror}): choose"
            " another folder with data.store=..."
        ) from error


def _convert(
    folder: Path,
    sample_rate: int,
    items: Sequence[Item],
    tolerance: float | None,
    jobs: int | None,
    progress: bool,
) -> None:
    run = partial(in_parallel, jobs=jobs, progress=progress)
    # The state of the files before they are read: a later change is then always noticed.
    stamps = fingerprints.stamps(items)
    wrong: list[str] = []
    find = partial(measure, sample_rate=sample_rate)
    layouts = run(find, items, label="headers", failures=wrong)
    _refuse(wrong, items, folder)
    _check_uniform(layouts)
    dtype = "int16" if all(layout.sixteen_bits for layout in layouts) else "float32"
    width = np.dtype(dtype).itemsize
    ends = np.cumsum([layout.values for layout in layouts]).tolist()
    layouts = [
        replace(layout, offset=end - layout.values)
        for layout, end in zip(layouts, ends, strict=True)
    ]
    samples, end = folder / "samples.bin", ends[-1]
    _reserve(samples, end * width)
    read = partial(decode, samples, dtype, tolerance)
    results = run(read, layouts, label="store", failures=wrong)
    _refuse(wrong, items, folder)
    _check_apart(items, [found for found, _ in results])
    differing = [layout for layout, (_, differs) in zip(layouts, results, strict=True) if differs]
    mixtures = {}
    for layout in differing:
        mixtures[layout.offset] = end
        end += layout.size
    if differing:
        _reserve(samples, end * width)
        tasks = list(zip(differing, mixtures.values(), strict=True))
        run(partial(decode_mixture, samples, dtype), tasks, label="mixtures")
    digests = {path: digest for found, _ in results for path, digest in found.items()}
    splits: dict[str, list[str]] = {}
    for item in items:
        splits.setdefault(item.split, []).append(item.name)
    meta = {
        "version": VERSION,
        "sample_rate": sample_rate,
        "dtype": dtype,
        "values": end,
        "fingerprint": fingerprints.fingerprint(digests, items),
        "splits": splits,
        "chunk": CHUNK,
    }
    save_array(folder / "index.npy", _index(layouts, mixtures))
    save_array(folder / "crc32.npy", checksums_of(samples))
    fingerprints.write_stamps(folder, stamps)
    meta["crc32"] = checksum(meta, (folder / "index.npy").read_bytes())
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _refuse(wrong: Sequence[str], items: Sequence[Item], folder: Path) -> None:
    """Refuse all that can't be used at once; a long list is a file beside the store's folder."""
    more = ", the rest was not checked" if len(wrong) >= MANY else ""
    what = f"of {len(items)} mixtures can't be used{more}"
    name = folder.name.removeprefix(".").removesuffix(".partial")
    refusal.refuse(wrong, what, folder.parent, f"{name}.refused.txt")


def _reserve(path: Path, size: int) -> None:
    """Take the disk space now: a full disk then shows before anything is decoded.

    Where the file system can't, the space is taken as samples are written.
    """
    path.touch()
    # Not for appending only: glibc's stand-in for fallocate reads and writes where it pleases.
    with open(path, "r+b") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                file.truncate(size)
                return
            raise InputError(
                f"{path}: no room for {size} bytes ({error.strerror}); make room, or choose another"
                " folder with data.store=..."
            ) from error


def save_array(path: Path, array: NDArray[Any]) -> None:
    """As np.save, whose OSError names no file."""
    content = io.BytesIO()
    np.save(content, array)
    write_whole(path, content.getvalue())


def _index(layouts: Sequence[Layout], mixtures: dict[int, int]) -> NDArray[np.void]:
    rows: list[tuple[Any, ...]] = []
    for number, layout in enumerate(layouts):
        shape = (layout.length, layout.channels)
        for position, signal in enumerate(layout.item.signals):
            offset = layout.offset + position * layout.size
            rows.append((number, position, signal.target, offset, *shape))
        if layout.offset in mixtures:
            rows.append((number, MIXTURE, False, mixtures[layout.offset], *shape))
    return np.array(rows, dtype=INDEX)


def _check_apart(items: Sequence[Item], digests: Sequence[dict[str, str]]) -> None:
    """Refuse a mixture that is in two splits, under whatever names: a test on it means nothing."""
    known: dict[tuple[str, ...], Item] = {}
    for item, found in zip(items, digests, strict=True):
        other = known.setdefault(tuple(found.values()), item)
        if other.split != item.split:
            first, second = (one.mixture or one.signals[0].path for one in (other, item))
            raise InputError(
                f"the same mixture in {other.split} and {item.split}: {first} and {second}"
            )


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
