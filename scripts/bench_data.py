"""Training data from the store against WAV files: ``python scripts/bench_data.py``.

One process reads random segments of 400 frames of two-speaker mixtures, as training does: ours from
the memory map in batches of 25, the other way with soundfile (open, seek, read, add). Both read
the same segments, A B A B, and what counts is the ratio: this machine's speed cancels. In the same
rounds, from the memory map: mixtures that no file holds, each source from a place of its own.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import arguments, command
from autoclip_sep.data.loading.augmentation import RandomMixtures, RandomTracks
from autoclip_sep.data.loading.segments import Segments, epoch_plan
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal

RATE, SECONDS = 8000, 5  # of the mixtures
MIXTURES, BATCH = 1000, 25
SEGMENT = 399 * 64  # samples: 400 frames of hop 64
ROUNDS = 7
WANTED = 6.0  # times as fast as soundfile


def main() -> None:
    """The command."""
    command.script("bench_data", run, __doc__)


def run(given: list[str]) -> None:
    """Print mixtures per second, and the ratio."""
    arguments.read(given, {})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        items = make(Path(folder))
        split = prepare(Path(folder) / "store", RATE, items, progress=False).split("train")
        ours = Segments(split, batch_size=BATCH, segment=SEGMENT, seed=0)
        settings = RandomTracks(examples_per_track=1)
        mixed = RandomMixtures(split, settings, batch_size=BATCH, segment=SEGMENT, seed=0)
        check(ours, items)
        rounds = [
            (from_files(items, epoch), from_store(ours, epoch), from_store(mixed, epoch))
            for epoch in range(ROUNDS)
        ][1:]  # the first one fills the caches
    files, store, random = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(own / other for other, own, _ in rounds)
    print(f"soundfile, seek and add      {files:8,.0f} mixtures/s")
    print(
        f"memory map and add           {store:8,.0f} mixtures/s  {ratio:.1f} x (at least {WANTED})"
    )
    print(f"memory map, random mixtures  {random:8,.0f} mixtures/s")


def make(folder: Path) -> list[Item]:
    """Mixtures of two files of noise each."""
    rng = np.random.default_rng(0)
    items = []
    for n in range(MIXTURES):
        paths = [folder / f"s{s}" / f"{n}.wav" for s in (1, 2)]
        for path in paths:
            soundfiles.write(path, rng.uniform(-0.4, 0.4, SECONDS * RATE), RATE)
        items.append(Item(str(n), "train", tuple(Signal(path) for path in paths)))
    return items


def starts(epoch: int) -> list[tuple[int, int]]:
    """Item and first sample of an epoch's segments, as `Segments` draws them."""
    order, places = epoch_plan(MIXTURES, 0, epoch)
    room = SECONDS * RATE - SEGMENT
    return list(
        zip(order.tolist(), np.floor(places * (room + 1)).astype(int).tolist(), strict=True)
    )


def read(item: Item, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Mixture (T,) and sources (S, T) of a segment, from its files."""
    sources = np.stack(
        [soundfile.read(s.path, SEGMENT, start, dtype="float32")[0] for s in item.signals]
    )
    return sources.sum(axis=0), sources


def from_files(items: list[Item], epoch: int) -> float:
    """Mixtures per second of an epoch, with soundfile."""
    plan = starts(epoch)
    began = time.perf_counter()
    for item, start in plan:
        read(items[item], start)
    return len(plan) / (time.perf_counter() - began)


def from_store(data: Segments | RandomMixtures, epoch: int) -> float:
    """Mixtures per second of an epoch, in batches from the memory map."""
    data[epoch, 0]  # draws the epoch's order, which training does once, too
    began = time.perf_counter()
    for step in range(data.steps):
        data[epoch, step]
    return data.steps * BATCH / (time.perf_counter() - began)


def check(data: Segments, items: list[Item]) -> None:
    """Both ways give the same samples."""
    batch = data[0, 0]
    for b, (item, start) in enumerate(starts(0)[:BATCH]):
        mixture, sources = read(items[item], start)
        assert np.array_equal(batch.sources[b, :, 0].numpy(), sources)
        assert np.array_equal(batch.mixture[b, 0].numpy(), mixture)


if __name__ == "__main__":
    main()
