"""Creation of LibriMix's clean mixtures from LibriSpeech and the published metadata.

Source: Cosentino et al., "LibriMix: An Open-Source Dataset for Generalizable Speech Separation"
(2020) and the scripts published with it, whose samples these are, bit for bit: gain, then
resampling, then the cut or the padding, all in float32. Differences: neither SoX nor WHAM!'s noise
is needed, every source is decoded before the first file is written and all that can't be used are
reported at once, an interrupted run continues, and `metrics_*.csv`, which nothing reads, is not
written.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data import _refusal as refusal
from autoclip_sep.data.creation.librimix_metadata import Recipe
from autoclip_sep.data.creation.mixing import ALL, Mode, are_there, fit, sweep
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.locks import exclusive
from autoclip_sep.names import some
from autoclip_sep.parallel import in_parallel
from autoclip_sep.runs import run_directory

RATE = 16000  # Hz, of LibriSpeech
MADE_FROM = ".made_from.json"  # digests of the metadata, by subset: names don't hold the gains


def mix(
    utterances: Sequence[NDArray[np.float32]], gains: Sequence[float], rate: int, mode: Mode
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mixture (T,) and sources (S, T) at `rate` from utterances (T_s,) at 16 kHz and their gains.

    mode: see `mixing.fit`. Nothing is scaled again.
    """
    scaled = [
        resample(utterance * np.float32(gain), RATE, rate)
        for utterance, gain in zip(utterances, gains, strict=True)
    ]
    sources = fit(scaled, mode)
    return sources.sum(axis=0), sources


def to_sixteen_bits(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """What libsndfile makes of float samples in a 16-bit file: the upper half of 32 bits."""
    wide = np.rint(samples.astype(np.float64) * 2.0**31)
    return np.clip(np.floor(wide / 2.0**16), -(2**15), 2**15 - 1).astype(np.int16)


@dataclass(frozen=True)
class Creation:
    """Where one tree is made and how; small, because every task carries it to its process."""

    librispeech: Path
    folder: Path
    rate: int
    mode: Mode

    def files(self, subset: str, recipe: Recipe) -> list[Path]:
        """The mixture's file and those of its sources."""
        kinds = ["mix_clean", *(f"s{n}" for n in range(1, len(recipe.gains) + 1))]
        return [self.folder / subset / kind / f"{recipe.name}.wav" for kind in kinds]

    def check(self, utterance: str) -> None:
        """Refuse what isn't mono speech at 16 kHz, or can't be decoded to its end (task)."""
        path = self.librispeech / utterance
        samples, rate = soundfiles.read(path)
        if (rate, len(samples)) != (RATE, 1):
            raise InputError(
                f"{path}: {rate} Hz and {len(samples)} channels, LibriSpeech has {RATE} Hz and one"
            )

    def length(self, task: tuple[str, Recipe]) -> int:
        """Of a mixture whose files are all there, and whole; else 0 (task)."""
        files = self.files(*task)
        if not are_there(files):
            return 0
        try:
            return soundfiles.info(files[0]).frames
        except InputError:  # all cut to one length, for example
            return 0

    def write(self, task: tuple[str, Recipe]) -> int:
        """Make one mixture and its sources unless they are there; its length (task).

        The mixture comes last and marks the end.
        """
        known = self.length(task)
        if known:
            return known
        subset, recipe = task
        mixture, *sources = self.files(subset, recipe)
        read = [soundfiles.read(self.librispeech / path)[0][0] for path in recipe.utterances]
        total, signals = mix(read, recipe.gains, self.rate, self.mode)
        for path, signal in zip([*sources, mixture], [*signals, total], strict=True):
            soundfiles.write(path, to_sixteen_bits(signal), self.rate)
        return len(total)

    def write_table(self, subset: str, recipes: Sequence[Recipe], lengths: Sequence[int]) -> None:
        """`metadata/mixture_<subset>_mix_clean.csv`, absolute paths in it as in the published."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        sources = [f"source_{n}_path" for n in range(1, len(recipes[0].gains) + 1)]
        table.writerow(["mixture_ID", "mixture_path", *sources, "length"])
        for recipe, length in zip(recipes, lengths, strict=True):
            paths = (str(path.absolute()) for path in self.files(subset, recipe))
            table.writerow([recipe.name, *paths, length])
        target = self.folder / "metadata" / f"mixture_{subset}_mix_clean.csv"
        target.parent.mkdir(exist_ok=True)
        write_whole(target, text.getvalue().encode(errors="surrogateescape"))


def create(
    metadata: Mapping[str, Sequence[Recipe]],
    librispeech: Path,
    out: Path,
    *,
    sample_rate: int = 8000,
    mode: Mode = "min",
    jobs: int | None = None,
    progress: bool = True,
    shard: Shard = ALL,
) -> Path | None:
    """Make `Libri{2,3}Mix/wav{8k,16k}/{min,max}/{subset}/{mix_clean,s1,s2[,s3]}` below `out`.

    metadata: the mixtures of each subset. shard: which of them. Returns the folder of the subsets;
    None where other shards have still to make some of their mixtures. Files already there are kept,
    so a killed run continues; the bytes don't depend on it.
    Raises InputError before any sound is written if utterances are missing, can't be decoded or
    are no LibriSpeech (all of them listed), or if the tree was begun with other metadata.
    """
    speakers = len(next(iter(metadata.values()))[0].gains)
    folder = out / f"Libri{speakers}Mix" / f"wav{sample_rate // 1000}k" / mode
    work = Creation(librispeech, folder, sample_rate, mode)
    run = partial(in_parallel, jobs=jobs, progress=progress)
    utterances = sorted({u for recipes in metadata.values() for r in recipes for u in r.utterances})
    _check_present(librispeech, utterances)
    tasks = [(subset, recipe) for subset, recipes in metadata.items() for recipe in recipes]

    def missing(tasks: Sequence[tuple[str, Recipe]]) -> list[Recipe]:
        lengths = run(work.length, tasks, label="found")
        return [recipe for (_, recipe), length in zip(tasks, lengths, strict=True) if not length]

    own = shard.of(tasks)
    needed = sorted({utterance for recipe in missing(own) for utterance in recipe.utterances})
    wrong: list[str] = []
    run(work.check, needed, label="sources", failures=wrong)
    report = shard.named(refusal.REPORT)
    refusal.refuse(wrong, f"of {len(needed)} utterances can't be used", out, report)
    if not shard.is_all:
        with exclusive(folder, shared=True):
            _note_metadata(folder, metadata)
            run(work.write, own, label=f"shard {shard}")
        if missing(tasks):
            return None
    with exclusive(folder):
        sweep(folder, "*/*/.*.tmp", "metadata/.mixture_*", f".{MADE_FROM}.*")
        _note_metadata(folder, metadata)
        for subset, recipes in metadata.items():
            lengths = run(work.write, [(subset, recipe) for recipe in recipes], label=subset)
            work.write_table(subset, recipes, lengths)
    return folder


def _check_present(librispeech: Path, utterances: Sequence[str]) -> None:
    missing = [path for path in utterances if not (librispeech / path).exists()]
    if not missing:
        return
    parts = sorted({path.partition("/")[0] for path in missing})
    meant = discovery.near(librispeech, lambda folder: (folder / missing[0]).exists())
    near = discovery.did_you_mean("librispeech", meant[:1])
    raise InputError(
        f"librispeech={librispeech}: {len(missing)} of {len(utterances)} utterances are missing:"
        f" {some(missing)}; expected: the folders {some(parts, 8)} of LibriSpeech (subsets="
        f"... makes a part of the corpus); found: {discovery.contents(librispeech)}{near}"
    )


def _note_metadata(folder: Path, metadata: Mapping[str, Sequence[Recipe]]) -> None:
    """Refuse to continue a tree whose files were made from other gains."""
    note = folder / MADE_FROM
    known = run_directory.read_json(note)
    now = {
        subset: hashlib.sha256(repr(list(recipes)).encode()).hexdigest()
        for subset, recipes in metadata.items()
    }
    changed = [subset for subset in now if known.get(subset, now[subset]) != now[subset]]
    if changed:
        raise InputError(
            f"{folder}: {some(changed)} was begun with other metadata; move it away, or"
            " choose another out=..."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(note, (json.dumps(known | now, indent=1) + "\n").encode())
