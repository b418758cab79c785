"""Whether a store was made from the files as they are now.

The fingerprint is of contents; sizes and times, kept in files.json, show in milliseconds that
nothing was touched.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from autoclip_sep.audio import plain_files
from autoclip_sep.data.store.reading import Item
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole

Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


def fingerprint(digests: Mapping[str, str], items: Sequence[Item]) -> str:
    """sha256 over items, splits, targets, and the names, sizes and contents of their files.

    Names count from the files' common folder: a corpus may move.
    """
    root = os.path.commonpath([os.path.dirname(path) for path in digests])
    total = hashlib.sha256()
    for item in items:
        rows: list[tuple[str | int, ...]] = [(item.split, item.name)]
        for signal in item.signals:
            rows.append((str(signal.target), *_place(signal.path, signal.stream, root)))
        if item.mixture:
            rows.append(("mixture", *_place(item.mixture, item.mixture_stream, root)))
        total.update(json.dumps(rows).encode())
    for path in sorted(digests):
        line = f"{os.path.relpath(path, root)}\0{digests[path]}\n"
        total.update(line.encode(errors="surrogateescape"))
    return total.hexdigest()


def is_untouched(folder: Path, items: Sequence[Item]) -> bool:
    """Whether the items' files have the sizes and times that the store in `folder` recorded.

    Paths count from the files' common folder: a corpus may move.
    """
    known = recorded(folder)
    return bool(known) and _from_common(known) == _from_common(stamps(items))


def recorded(folder: Path) -> dict[str, Stamp]:
    """What `write_stamps` wrote there; empty where there is no such file, or a damaged one."""
    try:
        known = json.loads((folder / "files.json").read_text(encoding="utf-8"))
        return {os.path.abspath(path): (size, time) for path, (size, time) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def is_current(folder: Path, known: str, items: Sequence[Item]) -> bool:
    """Whether the items' files still have the fingerprint `known` of the store in `folder`."""
    if is_untouched(folder, items):
        return True
    # Perhaps only copied or touched: compare the contents.
    now = stamps(items)
    if fingerprint({path: digest(path) for path in now}, items) != known:
        return False
    with suppress(OSError):  # on a read-only disk the next look takes as long
        write_stamps(folder, now)
    return True


def stamps(items: Sequence[Item]) -> dict[str, Stamp]:
    """Size and time of each of the items' files, by absolute path. Raises InputError if missing."""
    paths = {os.path.abspath(path) for item in items for path in item.streams}
    return {path: _stamp(path) for path in sorted(paths)}


def write_stamps(folder: Path, found: Mapping[str, Stamp]) -> None:
    """Record them in files.json, whole or not at all."""
    write_whole(folder / "files.json", json.dumps(found).encode())


def digest(path: str | os.PathLike[str]) -> str:
    """sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_common(found: Mapping[str, Stamp]) -> dict[str, Stamp]:
    root = os.path.commonpath([os.path.dirname(path) for path in found])
    return {os.path.relpath(path, root): stamp for path, stamp in found.items()}


def _place(path: str | Path, stream: int | None, root: str) -> tuple[str | int, ...]:
    """A file below the root, and which of its sounds, if it has several, and how it is read."""
    own = os.path.relpath(path, root)
    return (own,) if stream is None else (own, stream, "int16")


def _stamp(path: str) -> Stamp:
    try:
        state = os.stat(path)
    except OSError as error:
        plain_files.check(path)  # its message is more specific
        raise InputError(f"{path}: can't be opened ({error.strerror})") from error
    return state.st_size, state.st_mtime_ns
