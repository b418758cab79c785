"""A package's recordings as utterances of each voice: 16-bit WAV files, laid out like WSJ0's."""

import hashlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data.voices import deb, queen, segments
from autoclip_sep.data.voices.packages import Package
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole

RATE = 8000  # Hz, of the utterances
RAW_RATE = 11025  # Hz, of Drascula's raw recordings
RAW_MIDDLE, RAW_SCALE = 128.0, 128.0  # of their unsigned 8 bits

Utterances = dict[str, list[str]]  # files of each voice, below the corpus' folder


def unpack(folder: Path, task: tuple[Package, str]) -> Utterances:
    """Write a package's utterances and its copyright file, unless all of them are there (task).

    task: the package and its file. Raises InputError where it holds no recordings.
    """
    package, file = task
    note = folder / "packages" / f"{package.name}.json"
    if note.exists():
        known: Utterances = json.loads(note.read_text(encoding="utf-8"))
        return known
    written: Utterances = {}
    for voice, recordings in _recordings(package, Path(file), folder).items():
        written[voice] = []
        for number, utterance in enumerate(segments.joined(recordings, RATE)):
            name = f"voices/{voice}/{voice}-{package.tag}{number:04d}.wav"
            soundfiles.write(folder / name, utterance, RATE)
            written[voice].append(name)
    if not any(written.values()):
        raise InputError(f"{file}: no recordings of {package.name} in it")
    for name in ("copyright", "packages"):
        (folder / name).mkdir(exist_ok=True)
    own = f"/doc/{package.name}/copyright"
    for _, content in deb.members(Path(file), lambda path: path.endswith(own)):
        write_whole(folder / "copyright" / package.name, content)
    write_whole(note, json.dumps(written, indent=1, sort_keys=True).encode())
    return written


def _recordings(package: Package, file: Path, folder: Path) -> dict[str, list[NDArray[np.float64]]]:
    """Of each voice, by path; exact copies only once."""
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    seen: set[bytes] = set()
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as place:
        for voice, path, content in sorted(_contents(package, file)):
            digest = hashlib.sha256(content).digest()
            if digest in seen:
                continue
            seen.add(digest)
            with suppress(InputError):  # a few are empty, which is a fact about pinned packages
                found[voice].append(segments.trimmed(_decoded(path, content, Path(place)), RATE))
    return found


def _contents(package: Package, file: Path) -> Iterator[tuple[str, str, bytes]]:
    """Voice, path and content of each recording."""
    if package.voices:
        for path, content in deb.members(file, lambda path: package.voice(path) is not None):
            yield str(package.voice(path)), path, content
        return
    for _, archive in deb.members(file, lambda path: path.endswith("/queen.1c")):
        for character, path, content in queen.recordings(archive):
            yield f"queen-{character}", path, content


def _decoded(path: str, content: bytes, place: Path) -> NDArray[np.float64]:
    """Samples (T,) at `RATE`; raises InputError where there are none."""
    if path.endswith(".ALS"):
        samples = (np.frombuffer(content, np.uint8) - RAW_MIDDLE) / RAW_SCALE
        return resample(samples, RAW_RATE, RATE)
    suffix = ".mp3" if path.endswith(".SB") else os.path.splitext(path)[1]
    copy = place / f"recording{suffix}"
    copy.write_bytes(content)
    channels, rate = soundfiles.read(copy, dtype=np.float64)
    return resample(channels.mean(axis=0), rate, RATE)
