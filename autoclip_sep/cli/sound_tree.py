"""The sounds below a folder, and the folders that their sources go into."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.info import SUFFIXES
from autoclip_sep.errors import InputError


@dataclass(frozen=True)
class SoundTree:
    """What is below a folder, hidden files and folders aside.

    sounds: each with the relative folder of its sources. others: what isn't separated, and why.
    errors: of folders that can't be read.
    """

    sounds: dict[Path, Path] = field(default_factory=dict)
    others: dict[Path, str] = field(default_factory=dict)
    errors: list[OSError] = field(default_factory=list)


def below(root: Path, output: Path) -> SoundTree:
    """The sounds below `root`, in the folders that links lead to as well, each folder once.

    output: is left out where it lies below `root`. Raises InputError where there is no sound, and
    where `output` is `root`: the next call would take sources for sounds.
    """
    tree, seen = SoundTree(), {_identity(root)}
    if output.is_dir():
        if _identity(output) in seen:
            raise InputError(f"output={output} is the input itself: choose another folder")
        seen.add(_identity(output))
    places: dict[Path, list[Path]] = {}
    for visited, folders, names in os.walk(root, onerror=tree.errors.append, followlinks=True):
        above = Path(visited)
        visible = [above / name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [folder.name for folder in visible if _is_new(folder, seen, tree)]
        files = [above / name for name in sorted(names) if not name.startswith(".")]
        places[above] = [file for file in files if is_sound(file)]
        tree.others.update(dict.fromkeys(set(files).difference(places[above]), "not audio"))
    with_sounds = {up for place, files in places.items() if files for up in (place, *place.parents)}
    for place, files in places.items():
        named = names_in(place)
        for file in files:
            beside = place / file.stem in with_sounds
            name = file.name if beside else folder_name(file, named)
            tree.sounds[file] = place.relative_to(root) / name
    if not tree.sounds and not tree.errors:
        raise InputError(f"{root}: no audio files, {len(tree.others)} others")
    return tree


def is_sound(path: Path) -> bool:
    """By its name or its content, whole or broken."""
    return not path.is_dir() and (path.suffix.lower() in SUFFIXES or soundfiles.is_audio(path))


def names_in(folder: Path) -> dict[str, set[str]]:
    """The visible names in a folder by what they are with and without their suffixes."""
    named: dict[str, set[str]] = {}
    with suppress(OSError):  # a file may be readable in a folder that isn't
        for name in os.listdir(folder):
            if not name.startswith("."):
                for key in (name, Path(name).stem):
                    named.setdefault(key.casefold(), set()).add(name)
    return named


def folder_name(file: Path, named: Mapping[str, set[str]]) -> str:
    """Unique among the sounds beside the file, and the same whether or not they are separated.

    The name without its suffix, unless another one has that, or is called that with its suffix.
    """
    if not file.stem.strip("."):  # of `...wav`, which would lead out of the output
        return file.name
    others = named.get(file.stem.casefold(), set()) - {file.name}
    return file.name if any(is_sound(file.with_name(name)) for name in others) else file.stem


def _is_new(folder: Path, seen: set[tuple[int, int]], tree: SoundTree) -> bool:
    """Whether a folder is to be entered; links may lead to one again, or in circles."""
    identity = _identity(folder)
    if identity in seen:
        tree.others[folder] = "the output, or a folder that is separated elsewhere"
        return False
    seen.add(identity)
    return True


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
