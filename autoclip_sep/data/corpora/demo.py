"""The built-in corpus: invented speakers, mixed exactly as WSJ0-2mix is.

espeak-ng speaks; the files are laid out like WSJ0; lists in the official format go through
`mixing.create`. A stand-in for WSJ0-2mix, and what is measured on it is no WSJ0-2mix result:
synthetic speech has no room, no noise, and less variety than people.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data.corpora._generated import generator, is_whole
from autoclip_sep.data.corpora._speech_mixtures import Files, SpeechMixtures
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.synthesis import espeak
from autoclip_sep.data.synthesis.sentences import sentence
from autoclip_sep.data.synthesis.voices import Speaker, invent
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.parallel import in_parallel

SPEECH_RATE = 16000  # Hz, of WSJ0
VERSION = 3  # of the corpus that the same settings give; a change of it makes a new folder
LARGEST = {"train": 20000, "valid": 5000, "test": 3000}  # WSJ0-2mix
VALID_SHARE = 0.1  # of each training speaker's utterances, kept out of the training mixtures


@dataclass(frozen=True)
class Demo(SpeechMixtures):
    """Settings of the corpus, and its generator.

    train, valid, test: mixtures. speakers, test_speakers: voices, half of them female; the test
    speakers are heard nowhere else, those of valid are the training speakers, as in WSJ0-2mix.
    utterances: sentences per speaker. root, store: folders for the audio and the store.
    """

    content: ClassVar = "synthetic speech, without room or noise"
    licence: ClassVar = "no recordings: synthesised by espeak-ng"

    name: str = "demo"
    train: int = 3000
    valid: int = 200
    test: int = 200
    speakers: int = 100
    test_speakers: int = 20
    utterances: int = 30
    sample_rate: int = 8000

    def __post_init__(self) -> None:
        check_least(
            self, train=1, valid=1, test=1, speakers=4, test_speakers=2, utterances=2, seed=0
        )
        for split, largest in LARGEST.items():
            if self.expected[split] > largest:
                raise InputError(
                    f"data.corpus.{split}={self.expected[split]}: at most {largest} mixtures"
                )
        if self.sample_rate not in (8000, 16000):
            raise InputError(f"data.sample_rate={self.sample_rate}: the corpus has 8000 and 16000")

    @property
    def settings(self) -> dict[str, int]:
        """All but names and folders."""
        numbers = {key: value for key, value in asdict(self).items() if isinstance(value, int)}
        return numbers | {"version": VERSION}

    def layout(self) -> str:
        """No files are needed."""
        return "nothing: espeak-ng speaks it"

    def check_needs(self) -> None:
        """Raises InputError where espeak-ng isn't installed."""
        espeak.locate()

    def write_utterances(self, folder: Path, progress: bool) -> Files:
        """All speakers' sentences, and speakers.csv; the last tenth of each is for valid."""
        sessions = self.sessions()
        in_parallel(partial(synthesise, folder), sessions, label="voices", progress=progress)
        write_whole(folder / "speakers.csv", _speaker_table(sessions).encode())
        held_out = max(1, round(VALID_SHARE * self.utterances))
        seen, unseen = sessions[: self.speakers], sessions[self.speakers :]
        return {
            "train": [session.files[:-held_out] for session in seen],
            "valid": [session.files[-held_out:] for session in seen],
            "test": [session.files for session in unseen],
        }

    def genders(self) -> dict[str, str]:
        """Those of the voices."""
        return {session.speaker.name: session.speaker.sex for session in self.sessions()}

    def sessions(self) -> list["Session"]:
        """All speakers and what they say; speaker n is the same whatever the other settings."""
        found = []
        for number in range(self.speakers + self.test_speakers):
            unseen = number >= self.speakers
            index = number - self.speakers if unseen else number
            rng = generator(self.seed, 1 + unseen, index)
            speaker = invent(_speaker_name(index, unseen), "fm"[index % 2], rng)
            folder = ("si_dt_05", "si_et_05")[index // 2 % 2] if unseen else "si_tr_s"
            said = tuple(_utterance(speaker, rng) for _ in range(self.utterances))
            seed = int(rng.integers(2**31))
            found.append(Session(speaker, f"wsj0/{folder}/{speaker.name}", said, seed))
        return found


@dataclass(frozen=True)
class Session:
    """A speaker and all they say; `folder` below the corpus, seed for espeak-ng's own noise."""

    speaker: Speaker
    folder: str
    utterances: tuple[espeak.Utterance, ...]
    seed: int

    @property
    def files(self) -> list[str]:
        """Paths below the corpus; base names are unique in it, as in WSJ0."""
        name = self.speaker.name
        return [f"{self.folder}/{name}c{n:04d}.wav" for n in range(len(self.utterances))]


def synthesise(root: Path, session: Session) -> None:
    """Write a speaker's utterances at 16 kHz, unless all are there and whole (task)."""
    if all(is_whole(root / file) for file in session.files):
        return
    signals, rate = espeak.speak(
        session.speaker.voice, session.speaker.language, list(session.utterances), session.seed
    )
    for file, signal in zip(session.files, signals, strict=True):
        # Half scale: the resampling filter overshoots, and level doesn't matter before mixing.
        samples = resample(signal / 2.0**16, rate, SPEECH_RATE)
        soundfiles.write(root / file, samples, SPEECH_RATE)


def _utterance(speaker: Speaker, rng: np.random.Generator) -> espeak.Utterance:
    """A sentence, said a little faster, higher or livelier than the speaker's mean."""
    return espeak.Utterance(
        sentence(rng),
        round(speaker.rate * rng.uniform(0.92, 1.08)),
        int(rng.integers(44, 57)),
        int(rng.integers(35, 66)),
    )


def _speaker_name(index: int, unseen: bool) -> str:
    """Three characters, as in WSJ0; 4xx for the unseen speakers."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return f"{'4' if unseen else '0'}{digits[index // 36 % 36]}{digits[index % 36]}"


def _speaker_table(sessions: list[Session]) -> str:
    rows = ["speaker,sex,language,pitch_hz,words_per_minute,folder"]
    for session in sessions:
        who = session.speaker
        rows.append(f"{who.name},{who.sex},{who.language},{who.pitch},{who.rate},{session.folder}")
    return "\n".join(rows) + "\n"
