"""Training data: mixtures per second that one process reads, and makes of WSJ0's recordings."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.creation.mixing import Recipe
from autoclip_sep.data.loading.augmentation import RandomMixtures, RandomTracks
from autoclip_sep.data.loading.on_device import DeviceSegments
from autoclip_sep.data.loading.segments import Segments
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Split
from autoclip_sep.masks import ideal_binary_mask
from autoclip_sep.optional import require
from autoclip_sep.parallel import cores, release
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch
from benchmarks.floor import Floor
from benchmarks.harness import Row, Settings, Work, installed, rows

RATE, SECONDS = 8000, 5  # of the mixtures
BATCH, SEGMENT = 25, 399 * 64  # samples: 400 frames of hop 64
SHARE = 8769 / 20000  # utterances for each mixture in the training set of WSJ0-2mix


@rows("cpu")
def segments(at: Settings) -> Iterator[Row]:
    """Random segments as waveforms, from the store and from files."""
    items, split = corpus(at, at.of(1000, 30))
    settings = RandomTracks(examples_per_track=1)
    random = RandomMixtures(split, settings, batch_size=BATCH, segment=SEGMENT, seed=0)
    others = "ours, mixtures that no file holds (`data.augmentation`)"
    yield Row(
        f"segments of {SEGMENT / RATE:.1f} s, waveforms, one process",
        {
            "soundfile, seek and add": in_turn(FromFiles(items, split)),
            "ours, from the memory map": in_turn(segments_of(split)),
            others: in_turn(random),
        },
        parts=frozenset({others}),
        outcome=waveforms,
        tolerance=0.0,
        items=BATCH,
        of="mixtures",
        floor=Floor(bytes=BATCH * SEGMENT * 2 * (2 + 4 + 2)),  # int16 in, sources, mixture
    )


@rows("cpu")
def features(at: Settings) -> Iterator[Row]:
    """What a network sees: magnitudes of mixture and sources, and the ideal binary mask."""
    number = at.of(100, 4)
    items, split = corpus(at, number)
    data, stft = segments_of(split, batch=min(BATCH, number), segment=None), STFT()

    def ours() -> Work:
        batches = in_turn(data)

        def call() -> list[Tensor]:
            batch = batches()
            mixture, sources = (
                stft.transform(one.squeeze(-2)) for one in (batch.mixture, batch.sources)
            )
            return [mixture.abs(), sources.abs(), ideal_binary_mask(sources)]

        return call

    first = data.drawn(0)[0][: data.batch_size].tolist()

    def nussl(cached: bool) -> Callable[[Any], Work]:
        return lambda package: nussl_features(package, at.folder, items, first, cached)

    yield Row(
        f"spectra and masks of {SECONDS} s mixtures, one process",
        {
            "nussl": installed("nussl", nussl(False)),
            "nussl, from its zarr cache": installed("nussl", nussl(True)),
            "ours": ours(),
        },
        tolerance=1e-3,
        items=data.batch_size,
        of="mixtures",
    )


@rows("cpu")
def creation(at: Settings) -> Iterator[Row]:
    """WSJ0-mix of 16 kHz files of 5 to 8 s, speech-like noise, mixed at 8 kHz, min."""
    number = at.of(200, 4)
    files = utterances(at.folder, 2 * number)
    usual = files[: max(round(SHARE * number), 4)]
    for label, used in (("each as often as in WSJ0-2mix", usual), ("each once", files)):
        recipes = pair(used, number)
        make = partial(created, recipes, at.folder)
        yield Row(
            f"WSJ0-mix creation, utterances {label}",
            {
                "ours, one process": make(1),
                **({f"ours, {cores()} processes": make(cores())} if cores() > 1 else {}),
            },
            tolerance=0.0,
            items=number,
            of="mixtures",
        )
        release()


@rows()
def on_device(at: Settings) -> Iterator[Row]:
    """trainer.store_on_device beside reading the store and copying; and where the STFT runs."""
    _, split = corpus(at, at.of(1000, 30))
    device, stft = at.device, STFT()
    shown = f"segments of {SEGMENT / RATE:.1f} s on the device"
    read = in_turn(segments_of(split))
    here = in_turn(DeviceSegments(split, device, batch_size=BATCH, segment=SEGMENT, seed=0))

    def copied() -> Batch:
        batch = read()
        return (batch.pin_memory() if device.type == "cuda" else batch).to(device)

    yield Row(
        shown,
        {"from the store, copied": copied, "ours, `store_on_device`": here},
        outcome=waveforms,
        tolerance=0.0,
        items=BATCH,
        of="mixtures",
    )
    batch = segments_of(split)[0, 0]
    there = batch.to(device)

    def spectra(batch: Batch) -> list[Tensor]:
        both = stft.transform(batch.mixture), stft.transform(batch.sources)
        return [torch.view_as_real(both[0]), ideal_binary_mask(both[1])]

    yield Row(
        "STFT and targets of a batch",
        {
            "on the host, then copied": lambda: [one.to(device) for one in spectra(batch)],
            "ours, on the device": lambda: spectra(there),
        },
        tolerance=1e-2,  # where both sources are equally loud the mask may be either
        items=BATCH,
        of="mixtures",
    )


def corpus(at: Settings, number: int) -> tuple[list[Item], Split]:
    """Mixtures of two files of noise each, the files that they are sums of, and their store."""
    folder = at.folder / f"corpus{number}"
    rng = np.random.default_rng(0)
    items = []
    for n in range(number):
        paths = [folder / name / f"{n}.wav" for name in ("s1", "s2", "mix")]
        if not paths[-1].exists():
            noises = rng.integers(-12_000, 12_000, (2, SECONDS * RATE)) / 2**15
            for path, sound in zip(paths, [*noises, noises.sum(axis=0)], strict=True):
                soundfiles.write(path, sound, RATE)
        items.append(Item(str(n), "train", tuple(Signal(path) for path in paths[:2])))
    return items, prepare(folder / "store", RATE, items, progress=False).split("train")


def segments_of(split: Split, batch: int = BATCH, segment: int | None = SEGMENT) -> Segments:
    """The training batches of a corpus, as the trainer reads them."""
    return Segments(split, batch_size=batch, segment=segment, seed=0)


def waveforms(batch: Batch) -> list[Tensor]:
    """What is compared of two batches."""
    return [batch.mixture, batch.sources]


def in_turn(data: Any) -> Callable[[], Any]:
    """Each call gives the next batch, epoch after epoch."""

    def batches() -> Iterator[Any]:
        epoch = 0
        while True:
            yield from (data[epoch, step] for step in range(data.steps))
            epoch += 1

    return batches().__next__


class FromFiles:
    """The same batches with soundfile, as many a dataset class reads them."""

    def __init__(self, items: list[Item], split: Split) -> None:
        self.items, self.plan = items, segments_of(split)
        self.steps = self.plan.steps

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        items, starts = self.plan.drawn(key[0], self.plan.examples(key[1]))
        sources = np.stack([
            [soundfile.read(s.path, SEGMENT, start, dtype="float32")[0] for s in item.signals]
            for item, start in zip([self.items[i] for i in items], starts.tolist(), strict=True)
        ])  # fmt: skip
        both = torch.from_numpy(sources).unsqueeze(2)
        return Batch(both.sum(dim=1), both, torch.full((len(both),), SEGMENT), ())


def nussl_features(
    package: Any, folder: Path, items: list[Item], numbers: list[int], cached: bool
) -> Work:
    """nussl's dataset over the mixtures of these numbers, stacked as its loader does."""
    root = Path(items[0].signals[0].path).parents[1]
    names = package.datasets.transforms
    chain = [names.MagnitudeSpectrumApproximation(), names.ToSeparationModel()]
    if cached:
        chain.append(names.Cache(str(folder / "zarr"), overwrite=True, cache_size=len(items)))
    data = package.datasets.MixSourceFolder(
        str(root), source_folders=["s1", "s2"], transform=names.Compose(chain), sample_rate=RATE,
        stft_params=package.STFTParams(256, 64, "sqrt_hann"), num_channels=1,
    )  # fmt: skip
    order = [[Path(name).stem for name in data.items].index(str(n)) for n in numbers]
    if cached:  # pickles, which numcodecs reads only where it is told that they are one's own
        pickles: Any = require("numcodecs.pickles", "nussl's cache")
        pickles.ALLOW_UNSAFE_PICKLE_DECODE = True
        for n in range(len(data)):
            data[n]
        data.cache_populated = True

    def call() -> list[Tensor]:
        found = [data[n] for n in order]
        columns = ("mix_magnitude", "source_magnitudes", "ideal_binary_mask")
        mixture, sources, mask = (torch.stack([one[name] for one in found]) for name in columns)
        to_ours = (0, 4, 2, 1, 3)  # (B, N, F, C, S) to (B, S, F, N, C)
        frames = slice(SECONDS * RATE // 64 + 1)  # nussl pads to a whole number of hops
        return [
            mixture[..., 0].mT[..., frames],
            *(one.permute(to_ours)[..., frames, 0].float() for one in (sources, mask)),
        ]

    return call


def utterances(folder: Path, number: int) -> list[str]:
    """Noise of the spectrum and with the pauses of speech, roughly, at 16 kHz."""
    rng, rate = np.random.default_rng(0), 16_000
    names = []
    for n in range(number):
        length = int(rng.uniform(5, 8) * rate)
        sound = np.convolve(rng.standard_normal(length), np.hanning(9), "same")
        bursts = np.repeat(rng.random(length // 4000 + 1) > 0.3, 4000)[:length]
        names.append(f"wsj0/si_tr_s/{n % 100:03d}/{n % 100:03d}c{n // 100:04d}.wav")
        soundfiles.write(folder / names[-1], 0.05 * sound * bursts, rate)
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


def created(recipes: list[Recipe], folder: Path, jobs: int) -> Work:
    """Each call makes all mixtures in a new folder; one file of them stands for all."""
    count = iter(range(1_000_000))

    def call() -> list[Tensor]:
        out = folder / f"made-{jobs}-{len({*recipes})}-{id(recipes)}-{next(count)}"
        mixing.create({"tr": recipes}, folder, out, jobs=jobs, progress=False)
        made = out / "2speakers" / "wav8k" / "min" / "tr" / "mix" / f"{recipes[-1].name}.wav"
        return [torch.from_numpy(soundfiles.read(made)[0])]

    return call
