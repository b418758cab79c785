"""Creation of WSJ0-2mix and -3mix, as published with the corpus.

Source: Hershey et al., "Deep clustering: discriminative embeddings for segmentation and
separation" (ICASSP 2016) and the scripts published with it. Differences: every utterance is read,
resampled and levelled once rather than once per mixture, and an interrupted run continues.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autoclip_sep import audio
from autoclip_sep.data.active_level import active_speech_level
from autoclip_sep.data.parallel import in_parallel
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole

LEVEL_RATE = 8000  # Hz; levels are measured here for the 16 kHz version too
PEAK = 0.9  # of the loudest of the mixture and its sources
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Recipe:
    """One line of a mixing list: utterance paths and their gains in dB, as written there."""

    utterances: tuple[str, ...]
    gains: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """`<utterance>_<dB>_<utterance>_<dB>`, the published file name without `.wav`."""
        stems = (os.path.splitext(os.path.basename(path))[0] for path in self.utterances)
        parts = zip(stems, self.gains, strict=True)
        return "_".join(f"{stem}_{float(gain):.5g}" for stem, gain in parts)


def read_list(path: str | os.PathLike[str]) -> list[Recipe]:
    """The mixtures of a list file, one `path dB path dB [path dB]` per line.

    Raises InputError naming the line that can't be read, or two lines of one file name.
    """
    recipes: dict[str, Recipe] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: the mixing list can't be read ({error.strerror})") from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 4 or len(fields) % 2 or not all(map(_is_number, fields[1::2])):
            raise InputError(f"{path}, line {number}: not 'path dB path dB [path dB]'")
        recipe = Recipe(tuple(fields[::2]), tuple(fields[1::2]))
        if recipe.name in recipes:
            raise InputError(f"{path}, line {number}: a second mixture named {recipe.name}")
        recipes[recipe.name] = recipe
    if not recipes:
        raise InputError(f"{path}: the mixing list is empty")
    return list(recipes.values())


def write_list(path: str | os.PathLike[str], recipes: Sequence[Recipe]) -> None:
    """Write mixtures in the official list format, whole or not at all."""
    pairs = (zip(recipe.utterances, recipe.gains, strict=True) for recipe in recipes)
    lines = (" ".join(f"{path} {gain}" for path, gain in line) + " \n" for line in pairs)
    write_whole(Path(path), "".join(lines).encode())


def tree(out: Path, speakers: int, sample_rate: int, mode: Mode) -> Path:
    """The folder of the published layout that holds tr, cv and tt."""
    return out / f"{speakers}speakers" / f"wav{sample_rate // 1000}k" / mode


def mix(
    sources: Sequence[NDArray[np.float64]], gains: Sequence[float], mode: Mode
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mixture (T,) and sources (S, T) from levelled signals (T_s,) and gains in dB.

    `min` cuts all to the shortest, `max` pads with zeros to the longest. Mixture and sources share
    one scale, so that the loudest of them peaks at 0.9. Raises ValueError where all is silent.
    """
    lengths = [len(source) for source in sources]
    length = min(lengths) if mode == "min" else max(lengths)
    scaled = np.zeros((len(sources), length))
    for row, source, gain in zip(scaled, sources, gains, strict=True):
        row[: min(length, len(source))] = source[:length] * 10.0 ** (gain / 20.0)
    mixture = scaled.sum(axis=0)
    peak = max(np.abs(mixture).max(initial=0.0), np.abs(scaled).max(initial=0.0))
    if peak == 0.0:
        raise ValueError("silent from start to end")
    return mixture * (PEAK / peak), scaled * (PEAK / peak)


def level(samples: NDArray[np.float64], from_rate: int, to_rate: int) -> NDArray[np.float64]:
    """samples (T,) at to_rate (Hz), divided by the root of their active level at 8 kHz.

    Raises ValueError for silence, which has no level.
    """
    at_8k = audio.resample(samples, from_rate, LEVEL_RATE)
    power = active_speech_level(at_8k, LEVEL_RATE)
    if power == 0.0:
        raise ValueError("silent, so it has no speech level")
    signal = at_8k if to_rate == LEVEL_RATE else audio.resample(samples, from_rate, to_rate)
    return signal / np.sqrt(power)


@dataclass(frozen=True)
class Creation:
    """Where one tree is made and how; small, because every task carries it to its process."""

    root: Path
    out: Path
    sample_rate: int
    mode: Mode

    @property
    def cache(self) -> Path:
        """Levelled utterances; removed when all mixtures are written."""
        return self.out / f".levelled-{self.sample_rate}"

    def cached(self, utterance: str) -> Path:
        """The full path names an utterance: base names alone may clash across discs."""
        state = os.stat(self.root / utterance)
        key = f"{utterance}|{state.st_size}|{state.st_mtime_ns}"
        return self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"

    def level(self, utterance: str) -> None:
        """Read, resample and level one utterance (task)."""
        target = self.cached(utterance)
        if target.exists():
            return
        samples, rate = audio.read(self.root / utterance, dtype=np.float64)
        if len(samples) != 1:
            raise InputError(f"{self.root / utterance}: {len(samples)} channels, speech has one")
        try:
            levelled = level(samples[0], rate, self.sample_rate)
        except ValueError as error:
            raise InputError(f"{self.root / utterance}: {error}") from error
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "wb") as file:
            np.save(file, levelled)
        os.replace(temporary, target)

    def mixture(self, task: tuple[str, Recipe]) -> Path:
        """The mixture's file; s1, s2, ... have the same name in the folders beside its own."""
        split, recipe = task
        folder = tree(self.out, len(recipe.utterances), self.sample_rate, self.mode)
        return folder / split / "mix" / f"{recipe.name}.wav"

    def write(self, task: tuple[str, Recipe]) -> None:
        """Make one mixture and its sources (task); the mixture comes last and marks the end."""
        recipe, final = task[1], self.mixture(task)
        levelled = [np.load(self.cached(utterance)) for utterance in recipe.utterances]
        try:
            mixture, sources = mix(levelled, [float(gain) for gain in recipe.gains], self.mode)
        except ValueError as error:
            raise InputError(f"mixture {recipe.name}: {error}") from error
        for number, source in enumerate(sources, 1):
            audio.write(final.parents[1] / f"s{number}" / final.name, source, self.sample_rate)
        audio.write(final, mixture, self.sample_rate)


def create(
    lists: dict[str, list[Recipe]],
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    sample_rate: int = 8000,
    mode: Mode = "min",
    jobs: int | None = None,
    progress: bool = True,
) -> None:
    """Make `{2,3}speakers/wav{8k,16k}/{min,max}/{tr,cv,tt}/{mix,s1,s2[,s3]}` below `out`.

    lists: the mixtures of each split. root: the folder that the lists' paths start from (it holds
    `wsj0`). Files already there are kept, so a killed run continues; the bytes don't depend on it.
    Raises InputError before anything is written if utterances are missing.
    """
    work = Creation(Path(root), Path(out), sample_rate, mode)
    tasks = [(split, recipe) for split, recipes in lists.items() for recipe in recipes]
    _check_present(work.root, _utterances(tasks))
    tasks = [task for task in tasks if not work.mixture(task).exists()]
    work.cache.mkdir(parents=True, exist_ok=True)
    in_parallel(work.level, _utterances(tasks), label="levels", jobs=jobs, progress=progress)
    in_parallel(work.write, tasks, label="mixtures", jobs=jobs, progress=progress)
    shutil.rmtree(work.cache)


def _utterances(tasks: list[tuple[str, Recipe]]) -> list[str]:
    return sorted({path for _, recipe in tasks for path in recipe.utterances})


def _check_present(root: Path, utterances: list[str]) -> None:
    missing = [path for path in utterances if not (root / path).exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(utterances)} utterances of the lists are missing below {root},"
            f" the first is {missing[0]}; wanted there: the folder wsj0 with si_tr_s, si_dt_05"
            " and si_et_05"
        )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
