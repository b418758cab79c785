"""Generated corpora of two speakers, mixed as WSJ0-2mix is: draws, lists, and mixtures."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from autoclip_sep.data.corpora._generated import GeneratedCorpus, generator
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.speakers import of_wsj0_mix
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError

LISTS = {"train": "tr", "valid": "cv", "test": "tt"}
LOUDEST = 2.5  # dB: one speaker is up to this much above 0 dB, the other as much below
Files = Mapping[str, Sequence[Sequence[str]]]  # each speaker's utterances, by split


class SpeechMixtures(GeneratedCorpus):
    """What these corpora have in common; see `GeneratedCorpus`."""

    @abstractmethod
    def write_utterances(self, folder: Path, progress: bool) -> Files:
        """Write the utterances that are missing; the paths of all, below the folder."""

    def generate(self, folder: Path, progress: bool) -> None:
        """Utterances, lists and mixtures."""
        lists = {}
        for number, (split, files) in enumerate(self.write_utterances(folder, progress).items()):
            rng = generator(self.seed, 3, number)
            recipes = mixing_list(files, self.expected[split], rng)
            mixing.write_list(_list_file(folder, split), recipes)
            lists[LISTS[split]] = recipes
        mixing.create(lists, folder, folder, sample_rate=self.sample_rate, progress=progress)

    def items(self, folder: Path) -> list[Item]:
        """The mixtures of the lists."""
        found = []
        for split, name in LISTS.items():
            tree = mixing.tree(folder, 2, self.sample_rate, "min") / name
            mix, s1, s2 = (f"{tree / signal}/" for signal in ("mix", "s1", "s2"))
            for recipe in mixing.read_list(_list_file(folder, split)):
                file = f"{recipe.name}.wav"
                signals = (Signal(s1 + file), Signal(s2 + file))
                found.append(Item(recipe.name, split, signals, mix + file))
        return found

    def speakers_of(self, item: str) -> tuple[str, ...]:
        """Those of WSJ0-2mix's names."""
        return of_wsj0_mix(item)

    def genders(self) -> Mapping[str, str]:
        """None is known."""
        return {}


def mixing_list(
    files: Sequence[Sequence[str]], number: int, rng: np.random.Generator
) -> list[mixing.Recipe]:
    """`number` pairs of different speakers from the files of each speaker.

    All utterances are used about equally often. Gains are g and -g dB, g uniform in [0, 2.5].
    """
    speaker_of = {file: n for n, utterances in enumerate(files) for file in utterances}
    if len(set(speaker_of.values())) < 2:
        raise InputError("a mixture needs two speakers with utterances, there is one")
    recipes: dict[str, mixing.Recipe] = {}
    pool: list[str] = []
    while len(recipes) < number:
        if not pool:
            pool = [str(file) for file in rng.permutation(list(speaker_of))]
        first = pool.pop()
        others = (n for n in reversed(range(len(pool))) if speaker_of[pool[n]] != speaker_of[first])
        position = next(others, None)
        if position is None:  # only one speaker's utterances are left: start a new round
            pool = []
            continue
        gain = rng.uniform(0.0, LOUDEST)
        recipe = mixing.Recipe((first, pool.pop(position)), (f"{gain:.5g}", f"{-gain:.5g}"))
        recipes.setdefault(recipe.name, recipe)
    return list(recipes.values())


def _list_file(folder: Path, split: str) -> Path:
    return folder / f"mix_2_spk_{LISTS[split]}.txt"
