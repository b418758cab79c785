"""Corpora that are generated: by one process at a time, resumed after a kill, used when whole."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.data.store.reading import Item, Store
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.locks import exclusive
from autoclip_sep.names import shown

_NOTE = "complete.json"  # written last: a folder without it is resumed, never used


@dataclass(frozen=True)
class GeneratedCorpus(ABC):
    """Settings that every generated corpus has.

    train, valid, test: mixtures. root, store: folders for the audio and the store.
    """

    name: str = "generated"
    train: int = 1
    valid: int = 1
    test: int = 1
    seed: int = 0
    root: str | None = "corpora"
    store: str = "store"

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Of the mixtures, in Hz."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """What the bytes of the audio depend on."""

    @property
    def parent(self) -> str:
        """The folder that the audio's own folder is made in. Raises InputError for none."""
        if self.root is None:
            raise InputError(f"data.root=null: data={self.name} needs a folder for its audio")
        return self.root

    @property
    def expected(self) -> dict[str, int]:
        """Mixtures of each split: as many as are asked for."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def check_needs(self) -> None:  # noqa: B027 (most need nothing)
        """Raises InputError where something is missing that generation needs."""

    @abstractmethod
    def generate(self, folder: Path, progress: bool) -> None:
        """Write what isn't in the folder yet: a killed call has left whole files."""

    @abstractmethod
    def items(self, folder: Path) -> list[Item]:
        """The mixtures of a folder that was generated."""

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store; generated on the first call (a killed one is resumed)."""
        settings = self.settings
        folder = folder_for(self.parent, self.name, settings)
        note = folder / _NOTE
        if not note.exists():
            self.check_needs()
            with exclusive(folder):
                if not note.exists():  # another process may have generated it meanwhile
                    folder.mkdir(parents=True, exist_ok=True)
                    if progress:
                        said = f"data: {folder} isn't there whole, it is generated now"
                        print(shown(said), file=sys.stderr, flush=True)
                    self.generate(folder, progress)
                    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
                    write_whole(note, text.encode())
        place = Path(self.store) / folder.name
        return conversion.prepare(place, self.sample_rate, self.items(folder), progress=progress)


def generator(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key and on nothing else."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def is_whole(path: Path) -> bool:
    """Whether an audio file is there, and not empty or cut as a power cut leaves it."""
    try:
        soundfiles.info(path)
    except InputError:
        return False
    return True
