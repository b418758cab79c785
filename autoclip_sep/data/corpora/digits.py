"""Mixtures of real speech: the Free Spoken Digit Dataset, several digits to an utterance.

Source: github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0), from a folder that the user
names. Takes 0 to 4 are its official test set. The same six speakers are in every split: test means
held-out takes here, not held-out speakers.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora import _speech_mixtures as speech_mixtures
from autoclip_sep.data.corpora._generated import is_complete, is_whole
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.creation.mixing import Recipe
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import check_name, some
from autoclip_sep.parallel import in_parallel

RATE = 8000  # Hz, of the recordings
VERSION = 1  # of the corpus that the same settings give
RECORDING = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_/]+)_(?P<take>\d+)\.wav")
LAYOUT = "files named {digit}_{speaker}_{take}.wav, such as 7_george_12.wav"
SOURCE = "github.com/Jakobovski/free-spoken-digit-dataset"
TAKES = {"test": range(5), "valid": range(5, 10), "train": range(10, 10**6)}
PAUSE = (0.03, 0.25)  # seconds between digits, uniform

Takes = Mapping[str, tuple[str, ...]]  # recordings of one speaker by split


@dataclass(frozen=True)
class Digits:
    """Settings of the corpus, and its builder.

    root: the dataset's folder. train, valid, test: mixtures. utterances: of each speaker in each
    split, of `shortest` to `longest` digits. corpora, store: folders for the audio and the store.
    """

    root: str | None = None
    name: str = "digits"
    train: int = 4000
    valid: int = 200
    test: int = 300
    utterances: int = 200
    shortest: int = 5
    longest: int = 8
    seed: int = 0
    corpora: str = "corpora"
    store: str = "store"

    def __post_init__(self) -> None:
        check_least(self, train=1, valid=1, test=1, utterances=1, shortest=1, longest=1, seed=0)
        if self.longest < self.shortest:
            raise InputError(f"data.corpus.longest={self.longest}: below shortest={self.shortest}")

    @property
    def expected(self) -> dict[str, int]:
        """Mixtures of each split: as many as are asked for."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def layout(self) -> str:
        """The recordings."""
        return f"{LAYOUT} (from {SOURCE})"

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store; made on the first call (a killed one is continued).

        Raises InputError if root isn't the dataset, naming what was tried, wanted and found.
        """
        recordings = find(self.root)
        numbers = {key: value for key, value in asdict(self).items() if isinstance(value, int)}
        settings = numbers | {"version": VERSION, "recordings": _digest(recordings)}
        folder = folder_for(self.corpora, self.name, settings)
        if not is_complete(folder):
            self._make(folder, by_speaker(recordings), settings, progress)
        return conversion.prepare(
            Path(self.store) / folder.name,
            RATE,
            speech_mixtures.items(folder, RATE),
            progress=progress,
        )

    def _make(
        self, folder: Path, takes: Mapping[str, Takes], settings: Mapping[str, object], bar: bool
    ) -> None:
        plans = {
            split: [self._plan(speaker, n, split, takes[speaker][split]) for n, speaker in speakers]
            for split, speakers in ((split, list(enumerate(sorted(takes)))) for split in TAKES)
        }

        def speak() -> None:
            tasks = [plan for of_split in plans.values() for plan in of_split]
            in_parallel(partial(write_utterances, folder), tasks, label="digits", progress=bar)

        lists: dict[str, list[Recipe]] = {}
        for number, split in enumerate(speech_mixtures.LISTS):
            files = [[name for name, _ in plan] for plan in plans[split]]
            rng = speech_mixtures.generator(self.seed, 3, number)
            lists[split] = speech_mixtures.mixing_list(files, getattr(self, split), rng)
        speech_mixtures.make(folder, settings, speak, lists, sample_rate=RATE, progress=bar)

    def _plan(self, speaker: str, index: int, split: str, takes: tuple[str, ...]) -> "Plan":
        """What a speaker says in one split."""
        rng = speech_mixtures.generator(self.seed, 4, index, list(TAKES).index(split))
        plan = []
        for number in range(self.utterances):
            count = int(rng.integers(self.shortest, self.longest + 1))
            chosen = tuple(takes[n] for n in rng.integers(len(takes), size=count))
            said = "".join(Path(path).name[0] for path in chosen)
            pauses = rng.uniform(*PAUSE, size=count - 1)
            name = f"digits/{split}/{speaker}/{speaker}{number:04d}-{said}.wav"
            plan.append((name, (chosen, tuple(round(RATE * pause) for pause in pauses))))
        return plan


# File to write, recordings to join, and the pauses between them in samples.
Plan = list[tuple[str, tuple[tuple[str, ...], tuple[int, ...]]]]


def write_utterances(folder: Path, plan: Plan) -> None:
    """Join recordings into utterances and write those that aren't there, or not whole (task)."""
    known: dict[str, NDArray[np.float64]] = {}
    for name, (recordings, pauses) in plan:
        if is_whole(folder / name):
            continue
        parts = []
        for path, pause in zip(recordings, (*pauses, 0), strict=True):
            if path not in known:
                known[path] = _recording(path)
            parts += [known[path], np.zeros(pause)]
        soundfiles.write(folder / name, np.concatenate(parts), RATE)


def find(root: str | os.PathLike[str] | None) -> list[Path]:
    """The dataset's recordings, in `root` or in its folder `recordings`."""
    if not root:
        raise InputError(f"data=digits needs data.root=FOLDER with {LAYOUT} (from {SOURCE})")
    tried = [Path(root), Path(root) / "recordings"]
    for folder in tried:
        if folder.is_dir():
            found = sorted(path for path in folder.iterdir() if RECORDING.fullmatch(path.name))
            if found:
                return found
    raise InputError(
        f"data.root={root}: no spoken digits there or in its folder 'recordings'; wanted: {LAYOUT}"
        f" (from {SOURCE}); found: {discovery.contents(Path(root))}"
    )


def by_speaker(recordings: list[Path]) -> dict[str, Takes]:
    """Absolute paths of each speaker's recordings in each split.

    Raises InputError if fewer than two speakers are there, or one lacks the takes of a split.
    """
    takes: dict[str, dict[str, tuple[str, ...]]] = {}
    for path in recordings:
        name = RECORDING.fullmatch(path.name)
        assert name is not None
        speaker = check_name(name["speaker"], f"{path.parent}: a speaker")
        of_speaker = takes.setdefault(speaker, dict.fromkeys(TAKES, ()))
        split = next(split for split, numbers in TAKES.items() if int(name["take"]) in numbers)
        of_speaker[split] += (os.path.abspath(path),)
    folder = recordings[0].parent
    if len(takes) < 2:
        raise InputError(f"{folder}: one speaker only ({some([*takes])}), mixtures need two")
    for speaker, splits in takes.items():
        for split, files in splits.items():
            if not files:
                wanted = f"{TAKES[split][0]} to {TAKES[split][-1]}" if split != "train" else "10 on"
                raise InputError(f"{folder}: no takes {wanted} of {speaker}, wanted for {split}")
    return dict(takes)


def _recording(path: str) -> NDArray[np.float64]:
    samples, rate = soundfiles.read(path, dtype=np.float64)
    if len(samples) != 1:
        raise InputError(f"{path}: {len(samples)} channels, the dataset has one")
    return soundfiles.resample(samples[0], rate, RATE)


def _digest(recordings: list[Path]) -> str:
    total = hashlib.sha256()
    for path in recordings:
        line = f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        total.update(line.encode(errors="surrogateescape"))
    return total.hexdigest()
