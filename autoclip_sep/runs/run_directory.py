"""A run's directory: its name, its lock, its config.yaml and its state.

``runs/<data>/<loss>/<model>/<clipping label>/seed<n>[-<6 hex>]``; the hex digits are a hash of all
other settings that differ from their defaults, so two different runs never share a directory.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from numbers import Real
from pathlib import Path
from typing import Any

import yaml

from autoclip_sep import locks
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import check_name, some
from autoclip_sep.runs.annotations import fits
from autoclip_sep.runs.config import Config, checked, read_yaml
from autoclip_sep.runs.older_configs import downgraded, upgraded
from autoclip_sep.text import read_text

Flat = dict[str, Any]
PROVENANCE = "provenance.json"

# Keys of the settings that a clipper's label covers. `signed` follows from the loss, which is part
# of the directory's name, too.
LABELLED = r"clipping\.(?!(.*\.)?signed$).*"


def flatten(config: Mapping[str, Any], prefix: str = "") -> Flat:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; lists are values."""
    flat: Flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + str(key)] = value
    return flat


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The dotted keys whose values differ between two configs, or that only one has."""
    first, second = flatten(one), flatten(other)
    missing = object()
    keys = sorted(first.keys() | second.keys())
    return [key for key in keys if first.get(key, missing) != second.get(key, missing)]


def changed(
    config: Mapping[str, Any], default: Mapping[str, Any], ignored: Callable[[str], Any]
) -> Flat:
    """The settings that differ from their defaults, by the dotted keys of older runs.

    ignored: whether a key is irrelevant to the hash, or is another part of the directory's name.
    """
    usual = flatten(downgraded(default))
    return {
        key: value
        for key, value in flatten(downgraded(config)).items()
        if not ignored(key) and (key not in usual or usual[key] != value)
    }


def check_same(directory: Path, config: Mapping[str, Any], free: Callable[[str], Any]) -> None:
    """Raises InputError, naming the keys, where the run in a directory has other settings.

    free: whether a key may differ.
    """
    others = [key for key in differences(read_config(directory), config) if not free(key)]
    if others:
        raise InputError(
            f"{directory} has other values of {some(others, 5)}: "
            "move it away, or choose another folder with runs=..."
        )


def directory_name(parts: tuple[str, ...], seed: int, changed: Flat) -> Path:
    """The run's path below the root of all runs.

    changed: the settings that differ from their defaults and that `parts` doesn't cover. Raises
    InputError for a part that can't name a folder.
    """
    suffix = ""
    if changed:
        text = json.dumps(changed, sort_keys=True, default=str)
        suffix = "-" + hashlib.sha256(text.encode()).hexdigest()[:6]
    return Path(*(check_name(part, "a run's folder") for part in parts)) / f"seed{seed}{suffix}"


def seedless(directory: Path) -> str:
    """What runs that differ in their seed only have in common: their path, with * for the seed."""
    path = directory.resolve()
    return "/".join([*path.parts[-5:-1], re.sub(r"^seed\d+", "seed*", path.name)])


def write_text(path: Path, text: str) -> None:
    """Replace a small text file atomically."""
    write_whole(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace a small JSON file atomically."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    """Write config.yaml, every value resolved."""
    write_text(directory / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))


def read_config(directory: Path) -> Config:
    """A run's config.yaml.

    Raises InputError where the directory isn't a run, naming what was looked for and found, and for
    values of wrong types; later, on access to a missing key.
    """
    path = directory / "config.yaml"
    if not path.is_file():
        found = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else None
        absent = "a file" if directory.exists() else "not there"
        what = f"it holds {some(found, 5) or 'nothing'}" if found is not None else absent
        raise InputError(
            f"{directory} is not a run directory ({what}): a run holds config.yaml and checkpoints/"
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not the config of a run: it must be a mapping")
    return checked(upgraded(content), str(path))


def read_json(path: Path, **types: Any) -> Config:
    """A small JSON file; empty where it is missing, damaged or of other types.

    types: annotations that the values of these keys must fit, where the file has them. Access to a
    key that the file doesn't have raises InputError.
    """
    content: Any = {}
    with suppress(InputError, ValueError, RecursionError):  # damaged, nested too deeply
        content = json.loads(read_text(path)) if path.is_file() else {}
    whole = isinstance(content, dict) and all(
        fits(content[key], hint) for key, hint in types.items() if key in content
    )
    return Config(content if whole else {}, str(path))


def read_provenance(directory: Path) -> Config:
    """A run's provenance.json; empty for a new run."""
    texts = dict.fromkeys(("commit", "version", "torch", "python", "device", "date"), str)
    return read_json(directory / PROVENANCE, fingerprint=str, threads=int, start=Mapping, **texts)


def write_state(directory: Path, **state: Any) -> None:
    """Write state.json: status (running, interrupted, finished) and how far the run got."""
    write_json(directory / "state.json", state)


def read_state(directory: Path) -> Config:
    """A run's state.json; empty for a new run."""
    # Of supersampling runs, not finite where they diverged.
    numbers = {"clipped_share": Real, "test_squared_error": Real}
    return read_json(
        directory / "state.json", status=str, step=int, epochs=int, reason=str, **numbers
    )


class InUse(InputError):
    """Another process holds the run's directory."""


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Lock the run's directory for this process; the system releases the lock when it dies.

    Raises InUse where another process holds it.
    """

    def refuse() -> None:
        raise InUse(f"{directory} is in use by another process: wait for it or give another seed")

    directory.mkdir(parents=True, exist_ok=True)
    with locks.held(directory / ".lock", refuse):
        yield


def in_use(directory: Path) -> bool:
    """Whether a process holds the run's directory now."""
    return locks.in_use(directory / ".lock")
