"""Which runs another one is compared with: a folder that is named, or kept runs of its settings."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from autoclip_sep.errors import InputError


def find(run: Path, given: str, kept: Sequence[Path]) -> list[Path]:
    """The run directories to compare a run with, itself left out, in the order of their paths.

    given: one of them, or a folder of them, or nothing: then those below `kept` are taken whose
    paths tell the run's settings. Of a folder with runs of several settings, too.
    Raises InputError where there is none.
    """
    if not given:
        found = _same_settings(run, _below(kept), "recipes/*/results")
    elif (Path(given) / "config.yaml").is_file():
        found = [Path(given)]
    else:
        found = _below([Path(given)])
        if not found:
            there = "no run below it" if Path(given).is_dir() else "no such folder"
            raise InputError(f"reference={given}: {there}; a run directory or a folder of seeds")
        if len({told_by(path) for path in found}) > 1:
            found = _same_settings(run, found, given)
    others = [path for path in found if path.resolve() != run.resolve()]
    if not others:
        raise InputError(f"{run} is the only reference there is: name another with reference=...")
    return others


def told_by(directory: Path) -> tuple[str, ...]:
    """Corpus, loss, network, clipping, and the digits of all other settings, seed aside."""
    path = directory.resolve()
    return (*path.parts[-5:-1], path.name.partition("-")[2])


def _below(folders: Iterable[Path]) -> list[Path]:
    return sorted(path.parent for one in folders for path in one.rglob("seed*/config.yaml"))


def _same_settings(run: Path, found: Sequence[Path], where: str) -> list[Path]:
    same = [path for path in found if told_by(path) == told_by(run)]
    if not same:
        there = sorted({_pattern(path) for path in found})
        raise InputError(
            f"no reference {_pattern(run)} below {where}: name one with reference=...; "
            f"there are {', '.join(there) or 'none'}"
        )
    return same


def _pattern(directory: Path) -> str:
    *parts, digits = told_by(directory)
    return "/".join([*parts, f"seed*-{digits}" if digits else "seed*"])
