"""Evaluation against museval and nussl, and how long 3,000 mixtures take.

    python scripts/bench_evaluation.py [threads=2] [seconds=30] [mixtures=100]

One process, each pair timed in turn: what counts is the ratio, since this machine's speed cancels.
BSS Eval v4 of `seconds` of four stereo sources at 44.1 kHz, once each way (museval takes 7 GB for
four minutes); SI-SDR of mixtures of two sources, 5 s at 8 kHz. Then `mixtures` of those are
separated by the 2 x 300 network and scored, interrupted half-way and resumed; with fewer than 3,000
the time of 3,000 is estimated in proportion.
mixtures=0 leaves that out.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import arguments, command
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Split
from autoclip_sep.evaluation.metrics.si_sdr import SiSdr
from autoclip_sep.evaluation.score import score_split, summarise
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.models.separator import Separator
from autoclip_sep.optional import import_museval, import_nussl
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

ALL, BATCH = 3000, 8
LENGTH, RATE = 40_000, 8000
Result = TypeVar("Result")


def main() -> None:
    """The command."""
    command.script("bench_evaluation", run, __doc__)


def run(given: list[str]) -> None:
    """Do what the arguments say."""
    settings = arguments.read(given, {"threads": "2", "seconds": "30", "mixtures": "100"})
    torch.set_num_threads(arguments.count(settings, "threads"))
    music(arguments.count(settings, "seconds"))
    speech()
    if mixtures := arguments.count(settings, "mixtures", least=0):
        with tempfile.TemporaryDirectory() as folder:
            whole_test_set(Path(folder), mixtures)


def music(seconds: int, rate: int = 44100) -> None:
    """BSS Eval v4, museval and ours."""
    museval = import_museval()
    generator = torch.Generator().manual_seed(0)
    reference = 0.1 * torch.randn(4, 2, seconds * rate, generator=generator)
    estimate = reference + 0.2 * reference.roll(1, dims=0) + 0.3 * reference.roll(3, dims=-1)
    bss_eval(estimate[..., :rate], reference[..., :rate], rate)  # what is loaded at first
    own, ours = timed(lambda: bss_eval(estimate, reference, rate))
    pair = [signal.transpose(1, 2).double().numpy() for signal in (reference, estimate)]
    other, theirs = timed(lambda: museval.evaluate(*pair, win=rate, hop=rate))
    apart = np.abs(torch.stack(list(ours)).numpy() - np.stack(theirs)).max()
    line(f"BSS Eval v4, 4 stereo sources, {seconds} s", other, own)
    print(f"  largest difference {apart:.1e} dB")


def speech() -> None:
    """SI-SDR with permutations, nussl's BSSEvalScale and ours, one mixture and 64 at a time."""
    nussl = import_nussl()
    reference = torch.randn(64, 2, LENGTH, dtype=torch.float64)
    estimate = reference + 0.1 * torch.randn_like(reference)
    signals = [
        [nussl.AudioSignal(audio_data_array=row.numpy()[None], sample_rate=RATE) for row in rows[0]]
        for rows in (reference, estimate)
    ]

    def theirs() -> object:
        return nussl.evaluation.BSSEvalScale(*signals, compute_permutation=True).evaluate()

    jobs: list[Callable[[], object]] = [
        theirs,
        lambda: si_sdr_permuted(estimate[:1], reference[:1]),
        lambda: si_sdr_permuted(estimate, reference),
    ]
    rounds = [[timed(job)[0] for job in jobs] for _ in range(8)][1:]
    other, one, many = (statistics.median(column) for column in zip(*rounds, strict=True))
    line("SI-SDR, permutations, 2 x 5 s, one mixture", other, one)
    line("SI-SDR, permutations, 2 x 5 s, one of 64", other, many / 64)


def whole_test_set(folder: Path, mixtures: int) -> None:
    """Separate and score; stop half-way and resume."""
    split = noise(folder, mixtures)
    system = Stopped(mixtures // 2 // BATCH)
    path = folder / "test.csv"

    def evaluate() -> None:
        with suppress(KeyboardInterrupt):
            score_split(SiSdr(), system, split, path, {}, sample_rate=RATE, batch_size=BATCH)

    first, second = timed(evaluate)[0], timed(evaluate)[0]
    assert summarise(SiSdr(), path)["mixtures"] == mixtures
    print(f"{mixtures} mixtures, 2 x 300 network: {first:.0f} s, stopped, {second:.0f} s more")
    if mixtures < ALL:
        each = (first + second) / mixtures
        print(
            f"  {ALL} take about {each * ALL / 60:.0f} min, if each takes the {each:.2f} s of these"
        )


class Stopped:
    """The 2 x 300 network, untrained, on the CPU; Ctrl-C comes after some batches, once."""

    sources, permute, device = 2, True, torch.device("cpu")

    def __init__(self, batches: int) -> None:
        stft = STFT()
        model = Separator(stft, ["masks"], hidden=300, layers=2)
        self.separation = Separation(model, stft, self.sources, self.device)
        self.left = batches

    def whole(self, batch: Batch) -> torch.Tensor:
        """Waveforms (B, S, C, T)."""
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt
        return self.separation.whole(batch)


def noise(folder: Path, mixtures: int) -> Split:
    """Mixtures of two of 40 noises."""
    rng = np.random.default_rng(0)
    for n in range(40):
        soundfiles.write(folder / f"{n}.wav", 0.1 * rng.standard_normal((1, LENGTH)), RATE)
    items = []
    for n in range(mixtures):
        pair = rng.choice(40, 2, replace=False)
        items.append(Item(f"{n}", "test", tuple(Signal(folder / f"{one}.wav") for one in pair)))
    return prepare(folder / "store", RATE, items, progress=False).split("test")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Wall time of one call [s], and what it returned."""
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def line(name: str, other: float, own: float) -> None:
    """One comparison."""
    print(f"{name:42} theirs {other:9.4f} s   ours {own:9.4f} s   ratio {own / other:.3f}")


if __name__ == "__main__":
    main()
