"""Two trained runs whose mixtures have names that a page must not take for its own."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.dynamics import SPIKE_COLUMNS
from autoclip_sep.runs.records import Records
from tests.commands import command
from tests.golden.make import TRAIN

RATE, SECONDS = 8000, 1.5
EVIL = '<script>alert(1)</script>"&'
SETTINGS = [*TRAIN, "trainer.epochs=2", "trainer.segment=1600"]
RUNS = "runs/tree/mask_inference/blstm_demo"


@dataclass
class Swapping:
    """Estimates that are the sources in the other order, half as loud."""

    sources = 2
    permute = True
    device = torch.device("cpu")

    def whole(self, batch):
        return 0.5 * batch.sources.flip(1)


def write_corpus(root):
    """A high and a low tone, each switched on and off at random, in every mixture."""
    rng = np.random.default_rng(0)
    names = {"tr": [EVIL, *"abcdefg"], "cv": ["x", "y"], "tt": [EVIL, "o", "p", "q", "r"]}
    time = np.arange(int(RATE * SECONDS)) / RATE
    for split, items in names.items():
        for item in items:
            switched = rng.random((2, 10)).repeat(len(time) // 10, axis=1)
            pitch = rng.uniform([200, 1500], [400, 3000])[:, None]
            pair = 0.4 * switched * np.sin(2 * np.pi * pitch * time)
            for name, sound in (("s1", pair[0]), ("s2", pair[1]), ("mix", pair.sum(axis=0))):
                path = root / split / name / f"{item}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfiles.write(path, sound, RATE)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with two runs below `RUNS`, autoclip_p25 and autoclip_p100, scored, with spikes."""
    folder = tmp_path_factory.mktemp("reported")
    write_corpus(folder / "corpus")
    for percentile in (25, 100):
        command(folder, "train.py", *SETTINGS, f"percentile={percentile}")
    for run in folder.glob(f"{RUNS}/*/seed*"):
        command(folder, "evaluate.py", f"run={run.relative_to(folder)}")
        with_spikes(run)
    return folder


def with_spikes(run):
    (run / "spikes.csv").unlink()
    spikes = Records(run / "spikes.csv", SPIKE_COLUMNS)
    for step, norm in ((3, 40.0), (5, float("nan"))):
        for item, loss in ((EVIL, 3.0), ("a", 1.0)):
            spikes.append({"step": step, "epoch": 1, "grad_norm": norm, "median_norm": 4.0,
                           "item": item, "loss": loss})  # fmt: skip
    spikes.close()


@pytest.fixture(scope="session")
def runs(place):
    """Their directories, relative to `place`."""
    found = [path.relative_to(place) for path in sorted(place.glob(f"{RUNS}/*/seed*"))]
    return sorted(found, key=lambda path: "p100" in path.parent.name)


@pytest.fixture(scope="session")
def page(place, runs):
    """The page that compares them, as a file."""
    command(place, "scripts/report.py", f"a={runs[0]}", f"b={runs[1]}", "output=pages/both.html")
    return place / "pages" / "both.html"
