"""A small corpus of synthetic music, laid out like MUSDB18-HQ and read by the same reader.

A stand-in: it is made so that the music path runs on any machine, and what is measured on it is no
MUSDB18 result. Tempo, key, voices, playing and panning are drawn for every track.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import _speech_mixtures as speech_mixtures
from autoclip_sep.data.corpora import musdb
from autoclip_sep.data.corpora._generated import complete, is_complete, is_whole
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.data.store.reading import Store
from autoclip_sep.data.synthesis import instruments, songs
from autoclip_sep.parallel import in_parallel

VERSION = 1  # of the corpus that the same settings give; a change of it makes a new folder
PEAK = 0.8  # of the loudest of the mixture and its stems
LEVELS = {"vocals": (-2.0, 2.0), "drums": (-4.0, 2.0), "bass": (-5.0, 0.0), "other": (-6.0, 0.0)}
ROOM = (0.02, 0.25)  # the room's share of a stem's loudness


@dataclass(frozen=True)
class MusdbDemo:
    """Settings of the corpus, and its builder.

    train, valid, test: tracks, each about `seconds` long. sources, count: as in `Musdb`. root,
    store: folders for the audio and the store.
    """

    name: str = "musdb_demo"
    train: int = 24
    valid: int = 4
    test: int = 6
    seconds: int = 12
    seed: int = 0
    sources: Sequence[str] = musdb.SOURCES
    count: int = len(musdb.SOURCES)
    root: str = "corpora"
    store: str = "store"

    def __post_init__(self) -> None:
        check_least(self, train=1, valid=1, test=1, seconds=2, seed=0)
        musdb.check_sources(self.sources, self.count)

    @property
    def settings(self) -> dict[str, int]:
        """What the bytes of the audio depend on."""
        numbers = {key: getattr(self, key) for key in ("train", "valid", "test", "seconds", "seed")}
        return numbers | {"version": VERSION}

    @property
    def expected(self) -> dict[str, int]:
        """Tracks of each split: as many as are asked for."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def layout(self) -> str:
        """Nothing has to be there."""
        return "nothing: it is composed and played here"

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store; made on the first call (a killed one is continued)."""
        folder = folder_for(self.root, self.name, self.settings)
        plans = self._plans()
        if not is_complete(folder):
            self._make(folder, plans, progress)
        validation = [plan.name for plan in plans if plan.split == "valid"]
        return conversion.prepare(
            Path(self.store) / folder.name,
            musdb.RATE,
            musdb.items(folder, True, validation, self.sources),
            progress=progress,
        )

    def _make(self, folder: Path, plans: list["Plan"], progress: bool) -> None:
        write = partial(write_track, folder, self.seconds, self.seed)
        play = partial(in_parallel, write, plans, label="songs", progress=progress)
        complete(folder, self.settings, play)

    def _plans(self) -> list["Plan"]:
        """Track n of a split is the same whatever the other settings."""
        return [
            Plan(f"{split.capitalize()} {n:03d}", split, number, n)
            for number, split in enumerate(("train", "valid", "test"))
            for n in range(getattr(self, split))
        ]


@dataclass(frozen=True)
class Plan:
    """A track: its name and split, and the two numbers that its music is drawn from."""

    name: str
    split: str
    group: int
    number: int

    @property
    def folder(self) -> str:
        """Below the corpus; the tracks for validation are among those for training, as in MUSDB."""
        return f"{'test' if self.split == 'test' else 'train'}/{self.name}"


def write_track(root: Path, seconds: int, seed: int, plan: Plan) -> None:
    """Write the stems of a track and, last, their sum (task); nothing if all are there, whole."""
    folder = root / plan.folder
    if all(is_whole(folder / name) for name in musdb.WAVS):
        return
    stems = perform(seconds, speech_mixtures.generator(seed, 5, plan.group, plan.number))
    peak = max(np.abs(signal).max() for signal in (*stems.values(), sum(stems.values())))
    written = {name: soundfiles.quantise(signal * (PEAK / peak)) for name, signal in stems.items()}
    for name, signal in written.items():
        soundfiles.write(folder / f"{name}.wav", signal, musdb.RATE)
    mixture = sum(signal.astype(np.int32) for signal in written.values())
    soundfiles.write(folder / "mixture.wav", np.asarray(mixture).astype(np.int16), musdb.RATE)


def perform(seconds: float, rng: np.random.Generator) -> dict[str, instruments.Signal]:
    """A new song's stems, each (2, T), balanced against each other."""
    song = songs.compose(seconds, rng)
    length = round(song.seconds * musdb.RATE)
    vocals = instruments.sing(song.vocals, length, rng)
    bass = instruments.play_bass(song.bass, length, rng)
    tracks = {
        "vocals": np.outer(instruments.pan(rng.uniform(-0.15, 0.15)), vocals),
        "drums": instruments.drum(song.drums, length, rng),
        "bass": np.outer(instruments.pan(rng.uniform(-0.1, 0.1)), bass),
        "other": instruments.play_chords(song.other, length, rng),
    }
    for name, track in tracks.items():
        share = rng.uniform(*ROOM) * (0.3 if name == "bass" else 1.0)
        wet = instruments.room(track, share, rng)
        loudness = 10 ** (rng.uniform(*LEVELS[name]) / 20)
        tracks[name] = wet * (loudness / _loudness(wet))
    return tracks


def _loudness(track: instruments.Signal) -> float:
    """Root mean square of a track (2, T) where it sounds: within 40 dB of its peak."""
    power = (track**2).mean(axis=0)
    return float(np.sqrt(power[power > 1e-4 * power.max()].mean()))
