"""Corpora that mix utterances of their own as WSJ0-mix: draws, lists, and the mixtures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from autoclip_sep.data.corpora._generated import complete
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError

LISTS = {"train": "tr", "valid": "cv", "test": "tt"}
LOUDEST = 2.5  # dB: one speaker is up to this much above 0 dB, the other as much below


def generator(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key and on nothing else."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


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


def make(
    folder: Path,
    settings: Mapping[str, object],
    speak: Callable[[], None],
    lists: Mapping[str, Sequence[mixing.Recipe]],
    *,
    sample_rate: int,
    progress: bool,
) -> None:
    """Utterances, lists and mixtures below `folder`, unless they are there.

    speak: writes the utterances, those that are missing at least. lists: by split.
    Files are whole or absent and depend on the settings only, so a killed run goes on.
    """

    def make_all() -> None:
        speak()
        for split, recipes in lists.items():
            mixing.write_list(_list_file(folder, split), recipes)
        by_name = {LISTS[split]: list(recipes) for split, recipes in lists.items()}
        mixing.create(by_name, folder, folder, sample_rate=sample_rate, progress=progress)

    complete(folder, settings, make_all)


def items(folder: Path, sample_rate: int) -> list[Item]:
    """The mixtures of a corpus that `make` made, for the store."""
    found = []
    for split, name in LISTS.items():
        tree = mixing.tree(folder, 2, sample_rate, "min") / name
        mix, s1, s2 = (f"{tree / signal}/" for signal in ("mix", "s1", "s2"))
        for recipe in mixing.read_list(_list_file(folder, split)):
            file = f"{recipe.name}.wav"
            signals = (Signal(s1 + file), Signal(s2 + file))
            found.append(Item(recipe.name, split, signals, mix + file))
    return found


def _list_file(folder: Path, split: str) -> Path:
    return folder / f"mix_2_spk_{LISTS[split]}.txt"
