"""What a WSJ0-mix tree consists of: `manifest.json`, beside tr, cv and tt.

Settings and versions, the digests of the mixing lists, size and sha256 of every file; no dates and
no absolute paths, so that the same corpus has the same manifest. A split is entered when all its
files are there. While it is made, `.begun.json` in its folder holds the digest of its list.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autoclip_sep import __version__
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store import fingerprints
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import path_below
from autoclip_sep.runs import run_directory

NAME = "manifest.json"
BEGUN = ".begun.json"
PACKAGES = ("numpy", "scipy", "soundfile")  # that have a part in the bytes
Files = Mapping[str, Sequence[Any]]  # bytes and sha256, by path below the split's folder
Split = dict[str, Any]  # a list's digest, versions, and files


def read(tree: Path, settings: Mapping[str, Any]) -> dict[str, Split]:
    """The finished splits of a tree by name, none where there is no manifest yet.

    Raises InputError for one that can't be read, that has other settings, or names files elsewhere.
    """
    path = tree / NAME
    if not path.exists():
        return {}
    known = run_directory.read_json(path)
    splits = known.get("splits")
    if not isinstance(splits, dict) or not all(map(_is_split, splits.values())):
        raise InputError(f"{path}: not a manifest of this program; move it away and run again")
    for split in splits.values():
        for name in split["files"]:  # one of another size is deleted and made again
            path_below(name, str(path))
    if known.get("settings") != dict(settings):
        raise InputError(f"{path}: the tree was made with {known.get('settings')}; move it away")
    return splits


def write(tree: Path, settings: Mapping[str, Any], splits: Mapping[str, Split]) -> None:
    """Write the manifest whole or not at all, a line for each file."""
    parts = []
    for name, split in sorted(splits.items()):
        head = {key: value for key, value in split.items() if key != "files"}
        files = ",\n".join(
            f"    {json.dumps(file)}: {json.dumps(entry)}" for file, entry in split["files"].items()
        )
        parts.append(f'  {json.dumps(name)}: {json.dumps(head)[:-1]}, "files": {{\n{files}}}}}')
    body = ",\n".join(parts)
    text = f'{{"settings": {json.dumps(dict(settings))},\n "splits": {{\n{body}}}}}\n'
    write_whole(tree / NAME, text.encode())


def begin(folder: Path, digest: str) -> None:
    """Note from which list a split is made.

    Raises InputError if it was begun from another one, or holds files of unknown origin.
    """
    note = folder / BEGUN
    holds_some = folder.exists() and any(folder.rglob("*.wav"))
    known = run_directory.read_json(note).get("list_sha256")  # later: another shard wrote it first
    if known != digest and holds_some:
        what = "begun from another mixing list" if known else "holds files of unknown origin"
        raise InputError(f"{folder}: {what}; move it away, or name another out")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(note, (json.dumps({"list_sha256": digest}) + "\n").encode())


def finished(digest: str, mixtures: int, files: Files) -> Split:
    """A finished split's entry."""
    made_with = {"autoclip_sep": __version__, "python": platform.python_version()}
    return {
        "list_sha256": digest,
        "mixtures": mixtures,
        "made_with": made_with | {package: version(package) for package in PACKAGES},
        "files": dict(sorted(files.items())),
    }


def measure(path: str) -> tuple[int, str]:
    """Size and sha256 of a WAV file that is whole (task)."""
    soundfiles.info(path)
    return os.path.getsize(path), fingerprints.digest(path)


def sizes_differ(folder: Path, files: Files) -> list[str]:
    """The files that are missing or of another size than in the manifest."""
    wrong = []
    for name, (size, _) in files.items():
        path = f"{folder}/{name}"
        if not os.path.exists(path) or os.path.getsize(path) != size:
            wrong.append(name)
    return wrong


def _is_split(entry: object) -> bool:
    """Whether it is what `finished` gives, as far as it is read."""
    match entry:
        case {"list_sha256": str(), "files": dict(files)}:
            return all(
                isinstance(values, list) and [type(value) for value in values] == [int, str]
                for values in files.values()
            )
    return False
