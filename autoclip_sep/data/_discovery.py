"""Look around in a corpus' folder: what is there, and which folder nearby was perhaps meant."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autoclip_sep.names import some

DEEPEST = 4  # levels below the named folder that are searched
HIGHEST = 3  # levels above it
MOST = 1000  # folders searched: enough for a corpus, and not too slow in a home folder
MEANT = 4  # folders that a message suggests


def contents(folder: Path) -> str:
    """What is at a path, in a few words."""
    if not folder.exists():
        return "no such folder"
    if not folder.is_dir():
        return "a file"
    names = sorted(path.name for path in folder.iterdir())
    return f"{len(names)} entries, such as {some(names[:3])}" if names else "an empty folder"


def files(folder: Path) -> Iterator[str]:
    """Files below a folder as paths relative to it, no hidden ones; links are followed."""
    for base, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if _is_below(base, name))
        prefix = "" if Path(base) == folder else Path(base).relative_to(folder).as_posix() + "/"
        yield from (prefix + name for name in sorted(names) if not name.startswith("."))


def near(folder: Path, fits: Callable[[Path], bool]) -> list[Path]:
    """Folders that fit, above or below one that doesn't, or where its `~` leads."""
    above = Path(os.path.abspath(folder))
    candidates = [Path(os.path.expanduser(folder)), *list(above.parents)[:HIGHEST]]
    found = [candidate for candidate in candidates if fits(candidate)]
    return found or list(_below(folder, fits))


def did_you_mean(key: str, found: Sequence[Path]) -> str:
    """The end of a message: folders that the setting could have named, if there are any."""
    return f"; did you mean {key}={' or '.join(map(str, found[:MEANT]))}?" if found else ""


def _below(folder: Path, fits: Callable[[Path], bool]) -> Iterator[Path]:
    level, looked_at = [folder], 0
    for _ in range(DEEPEST):
        deeper = []
        for parent in level:
            children = _folders(parent)
            looked_at += len(children)
            if looked_at > MOST:
                return
            for child in children:
                if fits(child):
                    yield child
                else:
                    deeper.append(child)
        level = deeper


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _is_below(base: str, name: str) -> bool:
    """Whether a folder may be entered: not hidden, and no link to itself or a folder above it."""
    path = os.path.join(base, name)
    if name.startswith(".") or not os.path.islink(path):
        return not name.startswith(".")
    return not Path(base).resolve().is_relative_to(Path(path).resolve())
