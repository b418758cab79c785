"""MUSDB18 (.stem.mp4) and MUSDB18-HQ (WAV): songs as vocals, drums, bass and other.

Source: Rafii et al., "The MUSDB18 corpus for music separation" (2017). The 14 tracks for validation
are those of the package `musdb`, read from its configuration: to be imported it needs ffmpeg.

MUSDB18's own mixtures aren't the sums of their stems, because each was coded by itself; a few of
MUSDB18-HQ's aren't, either. Where they aren't, the store holds them as well, and evaluation takes
them. Decoded AAC isn't 16 bits and goes beyond full scale. The package musdb rounds and clips it to
16 bits, mixtures and stems alike, WAVs of more bits too, and published results are of such
samples: the store holds the same. Scores need it: AAC has nothing at the top of the band, where BSS
Eval's filters would depend on the decoder's last bits (SIR, ISR and SAR by many dB; SDR doesn't).
"""

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from autoclip_sep.audio import soundfiles
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora._from_files import FileCorpus
from autoclip_sep.data.store import decoding
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from autoclip_sep.names import some

RATE = 44100  # Hz
STREAMS = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}  # of a .stem.mp4
SOURCES = ("vocals", "drums", "bass", "other")
SUBSETS = ("train", "test")
TRACKS = {"train": 86, "valid": 14, "test": 50}
STEMS, WAVS = ".stem.mp4", {f"{name}.wav" for name in STREAMS}
LAYOUT = (
    "folders train and test with <track>.stem.mp4 (MUSDB18), or with <track>/mixture.wav, "
    "vocals.wav, drums.wav, bass.wav and other.wav (MUSDB18-HQ)"
)


@dataclass(frozen=True)
class Musdb(FileCorpus):
    """Settings of the corpus, and its reader.

    root: the folder that holds train and test. hq: whether WAV files are read, or .stem.mp4; None
    takes whichever is there. sources: what is to be estimated, in this order; the rest of the four
    is in the mixtures and is not. count: how many sources these are. channels: what the files must
    have. store: folder for the store.
    """

    content: ClassVar = "songs, most of them pop and rock"
    licence: ClassVar = "for education and research only (MUSDB18)"

    sample_rate = RATE

    name: str = "musdb18"
    hq: bool | None = None
    sources: Sequence[str] = SOURCES
    count: int = len(SOURCES)
    channels: int = 2

    def __post_init__(self) -> None:
        check_sources(self.sources, self.count)
        super().__post_init__()
        if self.hq is not None and not isinstance(self.hq, bool):
            raise InputError(f"data.hq={self.hq}: must be true (WAV), false (.stem.mp4) or null")

    @property
    def expected(self) -> dict[str, int]:
        """Tracks of each split as published."""
        return dict(TRACKS)

    def layout(self) -> str:
        """Both formats."""
        return LAYOUT

    def lacking(self, root: Path) -> list[str]:
        """Train and test where they have no tracks, of the format that lacks less."""
        asked = "" if self.hq is None else f" (data.hq={str(self.hq).lower()})"
        lacking = min((_without_tracks(root, hq) for hq in self._formats()), key=len)
        return [f"tracks in {subset}{asked}" for subset in lacking]

    def items(self, root: Path) -> list[Item]:
        """The tracks; see `track_items`. Raises InputError for a root of both formats, too."""
        formats = [hq for hq in self._formats() if not _without_tracks(root, hq)]
        if len(formats) > 1:
            raise InputError(f"{root}: has .stem.mp4 and WAV files: add data.hq=true or false")
        return track_items(root, formats[0], validation_tracks(), self.sources)

    def settings(self, items: Sequence[Item]) -> dict[str, object]:
        """Format and sources; and that the store isn't of float32, as older ones of such files."""
        hq = items[0].mixture_stream is None
        settings: dict[str, object] = {"hq": hq, "sources": list(self.sources)}
        path = items[0].signals[0].path
        if not hq or soundfiles.info(path).subtype not in decoding.SIXTEEN_BITS:
            settings["dtype"] = "int16"
        return settings

    def _formats(self) -> tuple[bool, ...]:
        """The values of hq that are asked for."""
        return (True, False) if self.hq is None else (self.hq,)


def track_items(
    root: Path, hq: bool, validation: Collection[str], sources: Sequence[str] = SOURCES
) -> list[Item]:
    """The tracks of a folder in MUSDB18's layout, in the order of their names.

    validation: names of the tracks in train that are for validation.
    Raises InputError for a track that lacks a file, and for a split without tracks.
    """
    found = []
    for subset in SUBSETS:
        for name in _tracks(root / subset, hq):
            split = "valid" if subset == "train" and name in validation else subset
            found.append(_item(root / subset, name, split, hq, sources))
    for split in ("train", "valid", "test"):
        if not any(item.split == split for item in found):
            names = f" ({some(sorted(validation), 2)})" if split == "valid" else ""
            raise InputError(f"{root}: none of the tracks for {split}{names} is there")
    return found


def validation_tracks() -> list[str]:
    """The official 14. Raises InputError where the package `musdb` isn't installed."""
    package = importlib.util.find_spec("musdb")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "MUSDB18's list of validation tracks is in the package musdb, which isn't installed: "
            "pip install musdb, or make install in a checkout"
        )
    path = Path(package.submodule_search_locations[0]) / "configs" / "mus.yaml"
    names = yaml.safe_load(path.read_text(encoding="utf-8"))["validation_tracks"]
    return [str(name) for name in names]


def check_sources(sources: Sequence[str], count: int) -> None:
    """Raises InputError for sources that MUSDB18 hasn't, or has once only, or another count."""
    if isinstance(sources, str) or not set(sources) <= set(SOURCES) or not sources:
        raise InputError(f"data.source_names={sources}: must be some of {', '.join(SOURCES)}")
    if len(set(sources)) != len(sources) or len(sources) != count:
        raise InputError(
            f"data.source_names={list(sources)}: must be data.sources={count}, all different"
        )


def _item(folder: Path, name: str, split: str, hq: bool, sources: Sequence[str]) -> Item:
    others = [source for source in SOURCES if source not in sources]
    targets = [(source, source in sources) for source in (*sources, *others)]
    if not hq:
        path = str(folder / f"{name}{STEMS}")
        streams = tuple(Signal(path, target, STREAMS[source]) for source, target in targets)
        return Item(name, split, streams, path, STREAMS["mixture"], sixteen_bits=True)
    track = folder / name
    missing = sorted(file for file in WAVS if not (track / file).is_file())
    if missing:
        raise InputError(
            f"{track}: {', '.join(missing)} missing; found: {discovery.contents(track)}"
        )
    files = tuple(Signal(str(track / f"{source}.wav"), target) for source, target in targets)
    return Item(name, split, files, str(track / "mixture.wav"), sixteen_bits=True)


def _without_tracks(root: Path, hq: bool) -> list[str]:
    return [subset for subset in SUBSETS if not _tracks(root / subset, hq)]


def _tracks(folder: Path, hq: bool) -> list[str]:
    """Names of the tracks in train or test; hidden files and other folders are none."""
    if not folder.is_dir():
        return []
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if hq:
        return sorted(entry.name for entry in entries if any((entry / w).exists() for w in WAVS))
    stems = (entry.name for entry in entries if entry.name.endswith(STEMS))
    return sorted(name.removesuffix(STEMS) for name in stems)
