"""Creation of WSJ0-2mix and -3mix, as published with the corpus.

Source: Hershey et al., "Deep clustering: discriminative embeddings for segmentation and
separation" (ICASSP 2016) and the scripts published with it. Differences: every utterance is read,
resampled and levelled once rather than once per mixture; a source that is silent is refused rather
than mixed as it is; the scripts' lists of names and scales (`mix_2_spk_*_mix`, `scaling.mat`) are
not written; and an interrupted run continues.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data import _refusal as refusal
from autoclip_sep.data.creation.active_level import active_speech_level
from autoclip_sep.data.creation.mixing_lists import Recipe, read_list, write_list
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError
from autoclip_sep.names import some
from autoclip_sep.parallel import in_parallel

__all__ = ["Mixture", "Mode", "Recipe", "create", "make", "read_list", "tree", "write_list"]

LEVEL_RATE = 8000  # Hz; levels are measured here for the 16 kHz version too
PEAK = 0.9  # of the loudest of the mixture and its sources
EMPTY_WAV = 44  # bytes, of a WAV file without samples
ALL = Shard()
CACHE = ".levelled-"  # folders of levelled utterances; each belongs to one process
Mode = Literal["min", "max"]


def tree(out: Path, speakers: int, sample_rate: int, mode: Mode) -> Path:
    """The folder of the published layout that holds tr, cv and tt."""
    return out / f"{speakers}speakers" / f"wav{sample_rate // 1000}k" / mode


def fit(signals: Sequence[NDArray[Any]], mode: Mode) -> NDArray[Any]:
    """Signals (T_s,) as (S, T): `min` cuts all to the shortest, `max` pads to the longest."""
    lengths = [len(signal) for signal in signals]
    length = min(lengths) if mode == "min" else max(lengths)
    fitted = np.zeros((len(signals), length), signals[0].dtype)
    for row, signal in zip(fitted, signals, strict=True):
        row[: len(signal)] = signal[:length]
    return fitted


def mix(
    sources: Sequence[NDArray[np.float64]], gains: Sequence[float], mode: Mode
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mixture (T,) and sources (S, T) from levelled signals (T_s,) and gains in dB.

    mode: see `fit`. Mixture and sources share one scale, so that the loudest of them peaks at 0.9.
    Raises ValueError where all is silent.
    """
    louder = [s * 10.0 ** (gain / 20.0) for s, gain in zip(sources, gains, strict=True)]
    scaled = fit(louder, mode)
    mixture = scaled.sum(axis=0)
    peak = max(np.abs(signals).max(initial=0.0) for signals in (mixture, scaled))
    if peak == 0.0:
        raise ValueError("silent from start to end")
    mixture *= PEAK / peak
    scaled *= PEAK / peak
    return mixture, scaled


def level(
    samples: NDArray[np.float64], from_rate: int, to_rate: int, full_scale: float | None = None
) -> NDArray[np.float64]:
    """samples (T,) at to_rate (Hz), divided by the root of their active level at 8 kHz.

    full_scale: see `active_speech_level`. Raises ValueError for silence, which has no level.
    """
    at_8k = resample(samples, from_rate, LEVEL_RATE)
    power = active_speech_level(at_8k, LEVEL_RATE, full_scale)
    if power == 0.0:
        raise ValueError("silent, so it has no speech level")
    signal = at_8k if to_rate == LEVEL_RATE else resample(samples, from_rate, to_rate)
    return signal / np.sqrt(power)


@dataclass(frozen=True)
class Mixture:
    """One mixture to make: its recipe, the files of its utterances, the folder of its split."""

    recipe: Recipe
    utterances: tuple[str, ...]
    folder: str
    mode: Mode

    def files(self) -> list[str]:
        """Its sources' files, then its own, which is written last: with it, all are there."""
        sources = (f"s{number}" for number in range(1, len(self.utterances) + 1))
        return [f"{self.folder}/{signal}/{self.recipe.name}.wav" for signal in (*sources, "mix")]


def are_there(files: Iterable[str | os.PathLike[str]]) -> bool:
    """Whether a mixture's files are there, of one length, not empty as a power cut leaves them."""
    try:
        sizes = {os.stat(file).st_size for file in files}
    except FileNotFoundError:
        return False
    return len(sizes) == 1 and min(sizes) > EMPTY_WAV


@dataclass(frozen=True)
class Creation:
    """How mixtures are made; small, because every task carries it to its process."""

    cache: Path
    sample_rate: int
    full_scale: float | None = None

    def cached(self, utterance: str) -> Path:
        """The full path names an utterance: base names alone may clash across discs."""
        return self.cache / f"{hashlib.sha256(os.fsencode(utterance)).hexdigest()[:32]}.f64"

    def level(self, utterance: str) -> None:
        """Read, resample and level one utterance (task)."""
        samples, rate = soundfiles.read(utterance, dtype=np.float64)
        if len(samples) != 1:
            raise InputError(f"{utterance}: {len(samples)} channels, speech has one")
        try:
            levelled = level(samples[0], rate, self.sample_rate, self.full_scale)
        except ValueError as error:
            raise InputError(f"{utterance}: {error}") from error
        self.cached(utterance).write_bytes(levelled.data)

    def write(self, mixture: Mixture) -> None:
        """Make one mixture and its sources (task)."""
        levelled = [np.fromfile(self.cached(utterance)) for utterance in mixture.utterances]
        gains = [float(gain) for gain in mixture.recipe.gains]
        try:
            total, sources = mix(levelled, gains, mixture.mode)
        except ValueError as error:
            raise InputError(f"mixture {mixture.recipe.name}: {error}") from error
        for file, signal in zip(mixture.files(), [*sources, total], strict=True):
            soundfiles.write(file, signal, self.sample_rate)


def create(
    lists: Mapping[str, Sequence[Recipe]],
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
    mixtures = [
        Mixture(
            recipe,
            tuple(os.path.join(root, utterance) for utterance in recipe.utterances),
            str(tree(Path(out), len(recipe.utterances), sample_rate, mode) / split),
            mode,
        )
        for split, recipes in lists.items()
        for recipe in recipes
    ]
    _check_present(root, _utterances(mixtures))
    make(mixtures, Path(out), sample_rate, jobs=jobs, progress=progress)


def make(
    mixtures: Sequence[Mixture],
    out: Path,
    sample_rate: int,
    *,
    full_scale: float | None = None,
    jobs: int | None = None,
    progress: bool = True,
    shard: Shard = ALL,
) -> None:
    """Make those mixtures that are not there yet; levelled utterances are kept in `out` meanwhile.

    full_scale: how levels are measured, see `active_speech_level`. shard: whose mixtures they are;
    beside others, what killed processes have left stays. One process at a time may work in `out`
    otherwise. Raises InputError before the first mixture if utterances can't be used.
    """
    mixtures = [mixture for mixture in mixtures if not are_there(mixture.files())]
    utterances = _utterances(mixtures)
    if shard.is_all:
        clear(out)
    out.mkdir(parents=True, exist_ok=True)
    work = Creation(Path(mkdtemp(prefix=CACHE, dir=out)), sample_rate, full_scale)
    run = partial(in_parallel, jobs=jobs, progress=progress)
    wrong: list[str] = []
    try:
        run(work.level, utterances, label="levels", failures=wrong)
        report = shard.named(refusal.REPORT)
        refusal.refuse(wrong, f"of {len(utterances)} utterances can't be used", out, report)
        run(work.write, mixtures, label="mixtures")
    finally:
        shutil.rmtree(work.cache, ignore_errors=True)


def sweep(folder: Path, *patterns: str) -> None:
    """Remove half-written files that a kill has left."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def clear(out: Path) -> None:
    """Remove the levelled utterances of processes that were killed."""
    for cache in out.glob(f"{CACHE}*"):
        shutil.rmtree(cache, ignore_errors=True)


def _utterances(mixtures: Sequence[Mixture]) -> list[str]:
    return sorted({path for mixture in mixtures for path in mixture.utterances})


def _check_present(root: str | os.PathLike[str], utterances: Sequence[str]) -> None:
    missing = [path for path in utterances if not os.path.exists(path)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(utterances)} utterances of the lists are missing below {root}:"
            f" {some([os.path.relpath(path, root) for path in missing])}; expected there: the"
            " folder wsj0 with si_tr_s, si_dt_05 and si_et_05"
        )
