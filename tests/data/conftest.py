"""A corpus of small files whose samples are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Store

MakeItems = Callable[..., list[Item]]
LENGTHS = {"train": (700, 900, 500, 900, 1000, 300, 800, 650, 400, 1200), "test": (500, 900, 500)}


@pytest.fixture
def make_items(tmp_path: Path) -> MakeItems:
    """Write mixtures of `signals` random files and give their items, train before test."""

    def make(
        signals: int = 2,
        channels: int = 1,
        subtype: str = "PCM_16",
        targets: tuple[bool, ...] = (),
        loud: float = 0.2,
        folder: str = "corpus",
        mixtures: bool = True,
    ) -> list[Item]:
        rng = np.random.default_rng(signals + 10 * channels)
        items = []
        for split, lengths in LENGTHS.items():
            for n, length in enumerate(lengths):
                samples = rng.uniform(-loud, loud, (signals, channels, length))
                base = tmp_path / folder / split
                names = [f"s{s + 1}" for s in range(signals)]
                for name, signal in zip(names, samples, strict=True):
                    soundfiles.write(base / name / f"{n}.wav", signal, 8000, subtype)
                paths = [base / name / f"{n}.wav" for name in names]
                if mixtures:
                    soundfiles.write(base / "mix" / f"{n}.wav", samples.sum(axis=0), 8000, subtype)
                flags = targets or (True,) * signals
                found = tuple(Signal(path, flag) for path, flag in zip(paths, flags, strict=True))
                mix = base / "mix" / f"{n}.wav" if mixtures else None
                items.append(Item(f"{split}-{n}", split, found, mix))
        return items

    return make


@pytest.fixture
def store(make_items: MakeItems, tmp_path: Path) -> Store:
    return prepare(tmp_path / "store" / "two", 8000, make_items(), progress=False, jobs=1)
