"""Mixtures of real speech: 69 voices of games and telephone systems in Debian's main archive.

Acted, in ten languages, of uneven quality, some characters perhaps by one actor: nothing measured
on it is a WSJ0-2mix result. Some voices speak for an hour, others for a minute. As in WSJ0-2mix the
test voices are heard nowhere else, and those of valid are the training voices. Each package has a
free licence of its own; the corpus keeps their copyright files and CREDITS.md, and is made locally.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora._generated import generator
from autoclip_sep.data.corpora._speech_mixtures import Files, SpeechMixtures
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.voices.packages import PACKAGES, Package, collect
from autoclip_sep.data.voices.unpacking import RATE, unpack
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.parallel import in_parallel

VERSION = 1  # of the corpus that the same settings give
TEST = re.compile(
    r"drascula-.*|asterisk-(ivrvoice|menardi|armelle)|tuxpaint-(el|bg|ro)"
)  # the other voices are for training
VALID_EVERY = 8  # of a training voice's utterances: each eighth one is for valid
FEMALE = ("asterisk-allison", "asterisk-june", "asterisk-ivrvoice", "asterisk-menardi",
          "asterisk-july", "asterisk-armelle")  # fmt: skip
MALE = ("asterisk-carlo",)


@dataclass(frozen=True)
class Voices(SpeechMixtures):
    """Settings of the corpus, and its generator.

    size: whole (14 packages), or trial (those whose recordings are plain audio files). train,
    valid, test: mixtures. utterances: the most of one voice in training, since one has a sixth of
    all. root: a folder with the .deb files, null to download them with apt-get. corpora, store:
    folders for packages and audio, and for the store.
    """

    content: ClassVar = "real speech of games and telephone systems, acted, in ten languages"
    licence: ClassVar = "several free ones, listed in the corpus' CREDITS.md (Debian packages)"

    sample_rate = RATE

    name: str = "voices"
    size: Literal["whole", "trial"] = "whole"
    train: int = 8000
    valid: int = 300
    test: int = 500
    utterances: int = 300
    root: str | None = None
    corpora: str = "corpora"

    def __post_init__(self) -> None:
        check_least(self, train=1, valid=1, test=1, utterances=VALID_EVERY, seed=0)
        if self.size not in ("whole", "trial"):
            raise InputError(f"data.corpus.size={self.size}: whole or trial")

    @property
    def settings(self) -> dict[str, object]:
        """All but names and folders; the packages are pinned."""
        own = ("size", "train", "valid", "test", "utterances", "seed")
        return {key: value for key, value in asdict(self).items() if key in own} | {
            "version": VERSION
        }

    @property
    def parent(self) -> str:
        """The folder of the packages stays as it is."""
        return self.corpora

    @property
    def packages(self) -> list[Package]:
        """Those of this size."""
        return [one for one in PACKAGES if one.plain or self.size == "whole"]

    def layout(self) -> str:
        """The packages."""
        return f"{len(self.packages)} Debian packages with sounds (.deb files)"

    def write_utterances(self, folder: Path, progress: bool) -> Files:
        """Each voice's utterances in each split, speakers.csv and CREDITS.md."""
        files = collect(self.packages, self.root, Path(self.corpora) / "voices-packages")
        tasks = [(package, str(file)) for package, file in zip(self.packages, files, strict=True)]
        written = in_parallel(partial(unpack, folder), tasks, label="packages", progress=progress)
        of_voices: dict[str, list[str]] = defaultdict(list)
        for utterances in written:
            for voice, own in utterances.items():
                of_voices[voice] += own
        of_voices = {voice: own for voice, own in sorted(of_voices.items()) if own}
        write_whole(folder / "speakers.csv", _speaker_table(folder, of_voices).encode())
        write_whole(folder / "CREDITS.md", _credits(self.packages, written).encode())
        return self._splits(of_voices)

    def _splits(self, of_voices: Mapping[str, Sequence[str]]) -> Files:
        """Files of each split, a list for each voice."""
        seen = {voice: own for voice, own in of_voices.items() if not TEST.fullmatch(voice)}
        train = {
            voice: [file for n, file in enumerate(own) if n % VALID_EVERY != VALID_EVERY - 1]
            for voice, own in seen.items()
        }
        for number, (voice, own) in enumerate(train.items()):
            order = generator(self.seed, 5, number).permutation(len(own))
            train[voice] = [own[n] for n in sorted(order[: self.utterances])]
        valid = [own[VALID_EVERY - 1 :: VALID_EVERY] for own in seen.values()]
        test = [list(own) for voice, own in of_voices.items() if voice not in seen]
        return {"train": list(train.values()), "valid": [own for own in valid if own], "test": test}

    def speakers_of(self, item: str) -> tuple[str, ...]:
        """Those of `queen-joe-0012_1.2_asterisk-allison-en0007_-1.2`."""
        found = [re.fullmatch(r"(.+)-[a-z]*\d{4}", part) for part in item.split("_")[::2]]
        return tuple(match[1] for match in found if match)

    def genders(self) -> dict[str, str]:
        """Where the package says who speaks."""
        return dict.fromkeys(FEMALE, "f") | dict.fromkeys(MALE, "m")


def _speaker_table(folder: Path, of_voices: Mapping[str, Sequence[str]]) -> str:
    rows = ["speaker,split,utterances,minutes"]
    for voice, own in of_voices.items():
        seconds = sum(soundfiles.info(folder / file).frames for file in own) / RATE
        split = "test" if TEST.fullmatch(voice) else "train"
        rows.append(f"{voice},{split},{len(own)},{seconds / 60:.1f}")
    return "\n".join(rows) + "\n"


def _credits(packages: Sequence[Package], written: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table; the texts of the licences are in copyright/."""
    rows = [
        "# Where these voices come from\n",
        "Packages of Debian's main archive; who made each, and its whole licence: copyright/.\n",
        "| package | version | licence | voices |",
        "|---|---|---|---|",
    ]
    for package, voices in zip(packages, written, strict=True):
        rows.append(
            f"| {package.name} | {package.version} | {package.licence} | {', '.join(voices)} |"
        )
    return "\n".join(rows) + "\n"
