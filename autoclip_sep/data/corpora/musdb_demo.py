"""A small corpus of synthetic music, laid out like MUSDB18-HQ and read by the same reader.

A stand-in: it is made so that the music path runs on any machine, and what is measured on it is no
MUSDB18 result. Tempo, key, voices, playing and panning are drawn for every track.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import musdb
from autoclip_sep.data.corpora._generated import GeneratedCorpus, generator, is_whole
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.store.reading import Item
from autoclip_sep.data.synthesis import instruments, songs
from autoclip_sep.parallel import in_parallel

VERSION = 1  # of the corpus that the same settings give; a change of it makes a new folder
PEAK = 0.8  # of the loudest of the mixture and its stems
LEVELS = {"vocals": (-2.0, 2.0), "drums": (-4.0, 2.0), "bass": (-5.0, 0.0), "other": (-6.0, 0.0)}
ROOM = (0.02, 0.25)  # the room's share of a stem's loudness


@dataclass(frozen=True)
class MusdbDemo(GeneratedCorpus):
    """Settings of the corpus, and its generator.

    train, valid, test: tracks, each about `seconds` long. sources, count: as in `Musdb`. root,
    store: folders for the audio and the store.
    """

    content: ClassVar = "synthetic instruments"
    licence: ClassVar = "no recordings: synthesised"

    sample_rate = musdb.RATE

    name: str = "musdb_demo"
    train: int = 24
    valid: int = 4
    test: int = 6
    seconds: int = 12
    sources: Sequence[str] = musdb.SOURCES
    count: int = len(musdb.SOURCES)

    def __post_init__(self) -> None:
        check_least(self, train=1, valid=1, test=1, seconds=2, seed=0)
        musdb.check_sources(self.sources, self.count)

    @property
    def settings(self) -> dict[str, int]:
        """All but names, folders, and which of the sources are estimated."""
        return {**self.expected, "seconds": self.seconds, "seed": self.seed, "version": VERSION}

    def layout(self) -> str:
        """No files are needed."""
        return "nothing: it is composed and played here"

    def generate(self, folder: Path, progress: bool) -> None:
        """The tracks."""
        write = partial(write_track, folder, self.seconds, self.seed)
        in_parallel(write, self.tracks(), label="songs", progress=progress)

    def items(self, folder: Path) -> list[Item]:
        """The tracks, read as MUSDB18-HQ."""
        validation = [track.name for track in self.tracks() if track.split == "valid"]
        return musdb.track_items(folder, True, validation, self.sources)

    def tracks(self) -> list["Track"]:
        """Track n of a split is the same whatever the other settings."""
        return [
            Track(f"{split.capitalize()} {n:03d}", split, (group, n))
            for group, (split, number) in enumerate(self.expected.items())
            for n in range(number)
        ]


@dataclass(frozen=True)
class Track:
    """A track: its name and split, and the two numbers that its music is drawn from."""

    name: str
    split: str
    key: tuple[int, int]

    @property
    def folder(self) -> str:
        """Below the corpus; the tracks for validation are among those for training, as in MUSDB."""
        return f"{'test' if self.split == 'test' else 'train'}/{self.name}"


def write_track(root: Path, seconds: int, seed: int, track: Track) -> None:
    """Write the stems of a track and, last, their sum (task); nothing if all are there, whole."""
    folder = root / track.folder
    if all(is_whole(folder / name) for name in musdb.WAVS):
        return
    stems = perform(seconds, generator(seed, 5, *track.key))
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
