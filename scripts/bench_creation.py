"""WSJ0-mix creation, in mixtures per second: ``python scripts/bench_creation.py``.

    python scripts/bench_creation.py [mixtures=500] [rounds=5] [folder=.]

Pairs from 16 kHz WAV files of 5 to 8 seconds, speech-like noise, mixed at 8 kHz, min: all that the
command does but looking for utterances and checksums. An utterance is in as many mixtures as in the
training set of WSJ0-2mix (8,769 utterances in 20,000 mixtures), or in one only, the hardest case.
Every round writes new files below `folder`; the median counts, and processes are running already.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import arguments, command
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.creation.mixing import Recipe
from autoclip_sep.parallel import cores, release

RATE = 16000
SHARE = 8769 / 20000  # utterances for each mixture in the training set


def main() -> None:
    """The command."""
    command.script("bench_creation", run, __doc__)


def run(given: list[str]) -> None:
    """Do what the arguments say."""
    settings = arguments.read(given, {"mixtures": "500", "rounds": "5", "folder": "."})
    number, rounds = (arguments.count(settings, key) for key in ("mixtures", "rounds"))
    with tempfile.TemporaryDirectory(dir=settings["folder"], prefix=".bench-") as folder:
        bench(Path(folder), number, rounds)


def bench(folder: Path, number: int, rounds: int) -> None:
    """Print a line for each number of utterances and of processes: `rounds` creations of each."""
    files = write_utterances(folder, 2 * number)
    usual = files[: max(round(SHARE * number), 4)]
    for label, used in (("as often as in WSJ0-2mix", usual), ("once", files)):
        recipes = pair(used, number)
        for jobs in dict.fromkeys((1, cores())):
            make(recipes[: 8 * jobs], folder, "warm", jobs)
            seconds = [make(recipes, folder, f"{label}{r}", jobs) for r in range(rounds)]
            speeds = sorted(number / second for second in seconds)
            release()
            print(
                f"{number} mixtures, each utterance {label}, {jobs} processes:"
                f" {statistics.median(speeds):.0f} mixtures/s"
                f" ({speeds[0]:.0f} to {speeds[-1]:.0f})",
                flush=True,
            )


def write_utterances(folder: Path, number: int) -> list[str]:
    """Noise of the spectrum and with the pauses of speech, roughly."""
    rng = np.random.default_rng(0)
    names = []
    for n in range(number):
        length = int(rng.uniform(5, 8) * RATE)
        noise = np.convolve(rng.standard_normal(length), np.hanning(9), "same")
        bursts = np.repeat(rng.random(length // 4000 + 1) > 0.3, 4000)[:length]
        names.append(f"wsj0/si_tr_s/{n % 100:03d}/{n % 100:03d}c{n // 100:04d}.wav")
        soundfiles.write(folder / names[-1], 0.05 * noise * bursts, RATE)
    return names


def pair(utterances: list[str], number: int) -> list[Recipe]:
    """Mixtures of two, all utterances about equally often."""
    rng = np.random.default_rng(1)
    pool: list[str] = []
    recipes: dict[str, Recipe] = {}
    while len(recipes) < number:
        if len(pool) < 2:
            pool = [str(name) for name in rng.permutation(utterances)]
        gain = f"{rng.uniform(0, 2.5):.5g}"
        recipe = Recipe((pool.pop(), pool.pop()), (gain, f"-{gain}"))
        recipes[recipe.name] = recipe
    return list(recipes.values())


def make(recipes: list[Recipe], folder: Path, out: str, jobs: int) -> float:
    """Wall time of their creation in a new folder, in seconds."""
    target = folder / f"{out}-{jobs}"
    start = time.perf_counter()
    mixing.create({"tr": recipes}, folder, target, jobs=jobs, progress=False)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
