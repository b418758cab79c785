"""How the cost grows: with the corpus, with the epoch, with processes, with runs side by side.

That it grows with the history of norms is what `clipping` shows.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from autoclip_sep.data.loading import segments
from autoclip_sep.data.loading.segments import Segments
from autoclip_sep.data.store.reading import INDEX, VERSION, Split, Store
from autoclip_sep.parallel import cores
from benchmarks.commands import ROOT
from benchmarks.data import BATCH, SEGMENT, in_turn, waveforms
from benchmarks.harness import Row, Settings, Timed, Work, rows

LENGTH, OWN = 40_000, 100  # samples of a mixture; mixtures that have samples of their own
TRAIN = (
    "model=blstm_demo", "trainer.batch_size=16", "trainer.record_every=1000", "trainer.threads=1",
    "trainer.progress=false", "data.corpus.valid=16", "data.corpus.test=16",
    "data.corpus.speakers=8", "data.corpus.test_speakers=4", "data.corpus.utterances=4",
)  # fmt: skip
TINY = (
    "model.hidden=8", "trainer.segment=6336", "trainer.batch_size=4", "data.corpus.valid=4",
    "data.corpus.test=4",
)  # fmt: skip


@rows("cpu")
def corpus_size(at: Settings) -> Iterator[Row]:
    """A batch, and the order of an epoch, which is drawn once in it."""
    for number in at.of((100, 10_000, 1_000_000), (100, 200)):
        data = segments_of(store(at.folder, number))

        def order(data: Segments = data) -> int:
            segments.epoch_plan.cache_clear()
            return len(data.drawn(0)[0])

        batches, shared = in_turn(data), {"axis": "mixtures in the corpus", "case": number}
        yield Row("a batch of 25 segments", {"ours": batches}, outcome=waveforms, **shared)
        yield Row("drawing an epoch's order", {"ours": order}, **shared)


@rows("cpu")
def epochs(at: Settings) -> Iterator[Row]:
    """A batch of a late epoch, with its order, as after a resume."""
    data = segments_of(store(at.folder, at.of(10_000, 200)))
    for number in at.of((1, 100, 10_000), (1, 10)):

        def batch(number: int = number) -> object:
            segments.epoch_plan.cache_clear()
            return data[number, 0]

        yield Row(
            "the first batch of an epoch",
            {"ours": batch},
            outcome=waveforms,
            axis="epoch",
            case=number,
        )


@rows("cpu")
def world_size(at: Settings) -> Iterator[Row]:
    """Training by 1, 2, 4, ... processes of one thread: seconds for a mixture, start left out."""
    one = trained(at, ["torchrun", "1"])
    for world in (2, 4, 8):
        if world <= (2 if at.quick else cores()):
            sides: dict[str, Work | None] = {
                "one process": one, "processes together": trained(at, ["torchrun", str(world)]),
            }  # fmt: skip
            yield _trainings("the same batches", sides, "processes", world)


@rows()
def side_by_side(at: Settings) -> Iterator[Row]:
    """Several runs at a time on one device: seconds for a mixture of any of them."""
    alone = trained(at, ["runs", "1"])
    most = 2 if at.quick else 8 if at.device.type == "cuda" else cores()
    for number in (2, 4, 8):
        if number <= most:
            sides: dict[str, Work | None] = {
                "one run": alone,
                "runs together": trained(at, ["runs", str(number)]),
            }
            yield _trainings("runs side by side", sides, "runs at a time", number)


def _trainings(what: str, sides: dict[str, Work | None], axis: str, number: int) -> Row:
    """Whole trainings, in seconds for a mixture."""
    return Row(
        f"training, {what}, seconds for a mixture",
        sides,
        tolerance=1e-3,
        axis=axis,
        case=number,
        least=1,
        items=1,
        of="mixtures",
    )


def store(folder: Path, number: int) -> Split:
    """A corpus of any size, whose mixtures share the samples of a hundred: two noises of 5 s.

    What is asked is what its size costs; that a disk is slower than memory isn't.
    """
    place = folder / f"store{number}"
    place.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    samples = rng.integers(-12_000, 12_000, OWN * 2 * LENGTH).astype(np.int16)
    samples.tofile(place / "samples.bin")
    index = np.zeros(2 * number, INDEX)
    index["item"], index["signal"] = np.divmod(np.arange(2 * number), 2)
    index["target"], index["length"], index["channels"] = True, LENGTH, 1
    index["offset"] = np.arange(2 * number) % (2 * OWN) * LENGTH
    np.save(place / "index.npy", index)
    meta = {
        "version": VERSION, "sample_rate": 8000, "dtype": "int16", "values": samples.size,
        "fingerprint": "", "splits": {"train": [f"{n}" for n in range(number)]},
    }  # fmt: skip
    (place / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return Store(place).split("train")


def segments_of(split: Split) -> Segments:
    """Batches as the trainer reads them."""
    return Segments(split, batch_size=BATCH, segment=SEGMENT, seed=0)


def trained(at: Settings, how: list[str]) -> Callable[[], Timed]:
    """Train.py for two epochs, in so many processes or as so many runs of different seeds.

    Seconds for a mixture, of the second epoch; the outcome is the first run's losses.
    """
    kind, number = how[0], int(how[1])
    count = iter(range(1_000_000))
    words = [*TRAIN, *at.of((), TINY), f"trainer.device={at.device.type}"]
    words += [f"data.corpus.train={at.of(320, 32)}", f"trainer.epochs={at.of(3, 2)}"]

    def call() -> Timed:
        runs = at.folder / f"runs-{kind}{number}-{next(count)}"
        program, seeds = [sys.executable, str(ROOT / "train.py")], range(number)
        if kind == "torchrun":
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"]
            program[1:1], seeds = launcher, range(1)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        running = [
            subprocess.Popen(
                [*program, *words, f"runs={runs}", f"seed={seed}"],
                cwd=at.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for seed in seeds
        ]  # fmt: skip
        said = [process.communicate()[0].decode() for process in running]
        for process, text in zip(running, said, strict=True):
            if process.returncode:
                raise RuntimeError(f"train.py ended with {process.returncode}: {text[-1000:]}")
        rate = sum(
            pd.read_csv(path)["mixtures_per_second"].iloc[-1] for path in runs.rglob("timing.csv")
        )
        (history,) = runs.rglob("seed0*/history.csv")
        return Timed(1 / rate, torch.tensor(pd.read_csv(history)["train_loss"].to_numpy()))

    return call
