"""Corpora that are made here: by one process at a time, continued after a kill, used when whole."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from autoclip_sep.audio import soundfiles
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.locks import exclusive

_NOTE = "complete.json"  # written last: a folder without it is continued, never used


def is_complete(folder: Path) -> bool:
    """Whether `complete` has finished here."""
    return (folder / _NOTE).exists()


def is_whole(path: Path) -> bool:
    """Whether an audio file is there, and not empty or cut as a power cut leaves it."""
    try:
        soundfiles.info(path)
    except InputError:
        return False
    return True


def complete(folder: Path, settings: Mapping[str, object], make: Callable[[], object]) -> None:
    """Have a corpus made in its folder, unless it is complete or another process makes it so.

    settings: what the bytes depend on, noted in the folder. make: keeps what is there already.
    """
    with exclusive(folder):
        if is_complete(folder):
            return
        folder.mkdir(parents=True, exist_ok=True)
        make()
        note = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        write_whole(folder / _NOTE, note.encode())
