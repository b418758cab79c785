"""The files of configs/, and of the folders that --config-dir adds to them."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.text import MARK

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ADDED: list[Path] = []  # folders that --config-dir named; as Hydra's, for the whole process


def add_folder(folder: Path) -> None:
    """Compose from this folder too: it has files of the groups, as configs/ has.

    Raises InputError where there is none, where it has no such files, or where a file has the name
    of one in configs/ or in a folder added before, which would be taken in its place.
    """
    if not folder.is_dir():
        raise InputError(f"--config-dir={folder}: there is no such folder")
    if folder.resolve() in ADDED:
        return
    if not _files_in(folder):
        groups = ", ".join(sorted(g.name for g in CONFIGS.iterdir() if g.is_dir()))
        raise InputError(f"--config-dir={folder} has no .yaml in a folder of a group: {groups}")
    for first in [CONFIGS, *ADDED]:
        for path in _files_in(first):
            place = path.relative_to(first)
            if (folder / place).is_file():
                raise InputError(
                    f"{folder / place}: there is a {place.parent}={place.stem} already, name it "
                    "otherwise"
                )
    ADDED.append(folder.resolve())


def flags() -> list[str]:
    """The flags that add the same folders to another command."""
    return [f"--config-dir={folder}" for folder in ADDED]


def files(group: str = "", folders: Sequence[Path] | None = None) -> list[Path]:
    """The files of configs/ and of the folders added, or of one group of them."""
    every = [CONFIGS, *ADDED] if folders is None else folders
    return [path for folder in every for path in _files_in(folder, group)]


def _files_in(folder: Path, group: str = "") -> list[Path]:
    """Sorted; not what editors and other systems hide there, or what lies beside the groups.

    A folder that was added may hold anything else as well, the configs of runs among it.
    """
    groups = [group] if group or folder == CONFIGS else [g.name for g in CONFIGS.iterdir()]
    return sorted(
        path
        for one in groups
        for path in (folder / one).rglob("*.yaml")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def is_group(name: str) -> bool:
    """Whether a folder of this name holds files to choose from."""
    return any((folder / name).is_dir() for folder in [CONFIGS, *ADDED])


def text(path: Path) -> str:
    """What a file of configs/ says; empty where it can't be read: it may not be asked for."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def check_marks(chosen: Mapping[str, str]) -> None:
    """Refuse a file whose `# @package` Hydra doesn't see: its settings would go to another place.

    Editors on some machines put a byte-order mark in front.
    """
    places = (Path(group, f"{choice}.yaml") for group, choice in chosen.items())
    for place, folder in product(places, [CONFIGS, *ADDED]):
        if text(folder / place).startswith(f"{MARK}# @package"):
            raise InputError(
                f"{folder / place}: a byte-order mark stands before # @package; save it without one"
            )
