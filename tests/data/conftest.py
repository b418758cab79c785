"""A corpus of small files whose samples are known."""

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal

LENGTHS = {"train": (700, 900, 500, 900, 1000, 300, 800, 650, 400, 1200), "test": (500, 900, 500)}


def contents(folder, without="files.json"):
    """The bytes of all files below a folder, by path; of a store but that of times and paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(without)
    }


@pytest.fixture
def make_items(tmp_path):
    """Write mixtures of `signals` random files and give their items, train before test."""

    def make(
        signals=2, channels=1, subtype="PCM_16", targets=(), loud=0.2, folder="corpus",
        mixtures=True,
    ):  # fmt: skip
        rng = np.random.default_rng(signals + 10 * channels)
        items = []
        for split, lengths in LENGTHS.items():
            for n, length in enumerate(lengths):
                samples = rng.uniform(-loud, loud, (signals, channels, length))
                base = tmp_path / folder / split
                paths = [base / f"s{s + 1}" / f"{n}.wav" for s in range(signals)]
                for path, signal in zip(paths, samples, strict=True):
                    soundfiles.write(path, signal, 8000, subtype)
                mix = base / "mix" / f"{n}.wav" if mixtures else None
                if mix:
                    soundfiles.write(mix, samples.sum(axis=0), 8000, subtype)
                found = tuple(map(Signal, paths, targets or (True,) * signals))
                items.append(Item(f"{split}-{n}", split, found, mix))
        return items

    return make


@pytest.fixture
def convert(tmp_path):
    """Items into a store in the test's folder, in this process unless `jobs` says otherwise."""

    def convert(items, name="store", sample_rate=8000, jobs=1, **how):
        return prepare(tmp_path / name, sample_rate, items, progress=False, jobs=jobs, **how)

    return convert


@pytest.fixture
def store(make_items, convert):
    return convert(make_items(), "two")
