"""Mixtures of real speech: the Free Spoken Digit Dataset, several digits to an utterance.

Source: github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0), from a folder that the user
names. Takes 0 to 4 are its official test set. The same six speakers are in every split: test means
held-out takes here, not held-out speakers.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora._generated import generator, is_whole
from autoclip_sep.data.corpora._speech_mixtures import Files, SpeechMixtures
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.store import fingerprints
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

Takes = Mapping[str, Mapping[str, list[str]]]  # recordings by speaker and split


@dataclass(frozen=True)
class Digits(SpeechMixtures):
    """Settings of the corpus, and its generator.

    root: the dataset's folder. train, valid, test: mixtures. utterances: of each speaker in each
    split, of `shortest` to `longest` digits. corpora, store: folders for the audio and the store.
    """

    content: ClassVar = "spoken English digits, strung together"
    licence: ClassVar = "CC BY-SA 4.0 (Free Spoken Digit Dataset)"

    sample_rate = RATE

    name: str = "digits"
    train: int = 4000
    valid: int = 200
    test: int = 300
    utterances: int = 200
    shortest: int = 5
    longest: int = 8
    root: str | None = None
    corpora: str = "corpora"

    def __post_init__(self) -> None:
        check_least(self, train=1, valid=1, test=1, utterances=1, shortest=1, longest=1, seed=0)
        if self.longest < self.shortest:
            raise InputError(f"data.corpus.longest={self.longest}: below shortest={self.shortest}")

    @property
    def settings(self) -> dict[str, object]:
        """All but names and folders, and the recordings."""
        numbers = {key: value for key, value in asdict(self).items() if isinstance(value, int)}
        return numbers | {"version": VERSION, "recordings": _digest(find(self.root))}

    @property
    def parent(self) -> str:
        """The dataset's folder stays as it is."""
        return self.corpora

    def layout(self) -> str:
        """The recordings."""
        return f"{LAYOUT} (from {SOURCE})"

    def check_needs(self) -> None:
        """Raises InputError as `takes_by_speaker` does."""
        takes_by_speaker(find(self.root))

    def write_utterances(self, folder: Path, progress: bool) -> Files:
        """Each speaker's utterances in each split."""
        takes = takes_by_speaker(find(self.root))
        spoken = {
            split: [self._utterances(takes, speaker, split) for speaker in sorted(takes)]
            for split in ("train", "valid", "test")
        }
        tasks = [utterances for of_split in spoken.values() for utterances in of_split]
        in_parallel(partial(write_utterances, folder), tasks, label="digits", progress=progress)
        return {
            split: [[utterance.file for utterance in utterances] for utterances in of_split]
            for split, of_split in spoken.items()
        }

    def speakers_of(self, item: str) -> tuple[str, ...]:
        """Those of `george0007-42318_1.2_theo0012-90311_-1.2`."""
        found = [re.match(r"(.+)\d{4}-\d+$", part) for part in item.split("_")[::2]]
        return tuple(match[1] for match in found if match)

    def _utterances(self, takes: Takes, speaker: str, split: str) -> list["Utterance"]:
        """What a speaker says in one split."""
        of_split = takes[speaker][split]
        index = sorted(takes).index(speaker)
        rng = generator(self.seed, 4, index, list(TAKES).index(split))
        found = []
        for number in range(self.utterances):
            count = int(rng.integers(self.shortest, self.longest + 1))
            chosen = [of_split[n] for n in rng.integers(len(of_split), size=count)]
            said = "".join(Path(path).name[0] for path in chosen)
            pauses = [round(RATE * pause) for pause in rng.uniform(*PAUSE, size=count - 1)]
            file = f"digits/{split}/{speaker}/{speaker}{number:04d}-{said}.wav"
            found.append(Utterance(file, chosen, pauses))
        return found


class Utterance(NamedTuple):
    """A file to write, the recordings to join, and the pauses between them in samples."""

    file: str
    recordings: list[str]
    pauses: list[int]


def write_utterances(folder: Path, utterances: list[Utterance]) -> None:
    """Join recordings into utterances and write those that aren't there, or not whole (task)."""
    known: dict[str, NDArray[np.float64]] = {}
    for file, recordings, pauses in utterances:
        if is_whole(folder / file):
            continue
        parts = []
        for path, pause in zip(recordings, (*pauses, 0), strict=True):
            if path not in known:
                known[path] = _recording(path)
            parts += [known[path], np.zeros(pause)]
        soundfiles.write(folder / file, np.concatenate(parts), RATE)


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
        f"data.root={root}: no spoken digits there or in its folder 'recordings'; expected:"
        f" {LAYOUT} (from {SOURCE}); found: {discovery.contents(Path(root))}"
    )


def takes_by_speaker(recordings: list[Path]) -> Takes:
    """Absolute paths of each speaker's recordings in each split.

    Raises InputError if fewer than two speakers are there, or one lacks the takes of a split.
    """
    takes: dict[str, dict[str, list[str]]] = defaultdict(lambda: {split: [] for split in TAKES})
    for path in recordings:
        name = RECORDING.fullmatch(path.name)
        assert name is not None
        speaker = check_name(name["speaker"], f"{path.parent}: a speaker")
        split = next(split for split, numbers in TAKES.items() if int(name["take"]) in numbers)
        takes[speaker][split].append(os.path.abspath(path))
    folder = recordings[0].parent
    if len(takes) < 2:
        raise InputError(f"{folder}: one speaker only ({some([*takes])}), mixtures need two")
    for speaker, splits in takes.items():
        for split, files in splits.items():
            if not files:
                last = "" if split == "train" else f" to {TAKES[split][-1]}"
                needed = f"from {TAKES[split][0]}{last}, needed for {split}"
                raise InputError(f"{folder}: {speaker} has no takes {needed}")
    return takes


def _recording(path: str) -> NDArray[np.float64]:
    samples, rate = soundfiles.read(path, dtype=np.float64)
    if len(samples) != 1:
        raise InputError(f"{path}: {len(samples)} channels, the dataset has one")
    return resample(samples[0], rate, RATE)


def _digest(recordings: list[Path]) -> str:
    total = hashlib.sha256()
    for path in recordings:
        line = f"{path.name}\0{fingerprints.digest(path)}\n"
        total.update(line.encode(errors="surrogateescape"))
    return total.hexdigest()
