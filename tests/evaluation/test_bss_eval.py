import math
import statistics

import numpy as np
import pytest
import torch
from torch import nn

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.evaluation.metrics.bss_eval import BssEval
from autoclip_sep.evaluation.score import score_split, summarise
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Estimate

RATE = 2000
NAMES = ("voice", "rest")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three stereo tracks of three to five seconds; in track 1 the voice is silent for a second."""
    folder = tmp_path_factory.mktemp("tracks")
    rng = np.random.default_rng(0)
    items = []
    for n, seconds in enumerate((3, 4, 5)):
        pair = rng.uniform(-0.4, 0.4, (2, 2, seconds * RATE))
        if n == 1:
            pair[0, :, RATE : 2 * RATE] = 0.0
        for name, signal in zip(NAMES, pair, strict=True):
            soundfiles.write(folder / str(n) / f"{name}.wav", signal, RATE)
        signals = tuple(Signal(folder / str(n) / f"{name}.wav") for name in NAMES)
        items.append(Item(f"track {n}", "test", signals))
    return prepare(folder / "store", RATE, items, progress=False, jobs=1)


class Leaky(nn.Module):
    """The sources with leakage from each other, swapped if `swapped`."""

    def __init__(self, swapped):
        super().__init__()
        self.swapped = swapped

    def forward(self, batch):
        leaky = batch.sources + 0.3 * batch.sources.flip(1) + 0.1 * batch.mixture.roll(7)[:, None]
        return Estimate(torch.zeros(1), waveforms=leaky.flip(1) if self.swapped else leaky)


def score(store, path, permute=False, swapped=False):
    separation = Separation(Leaky(swapped), STFT(), 2, torch.device("cpu"), permute=permute)
    score_split(
        BssEval(), separation, store.split("test"), path, {},
        sample_rate=RATE, names=NAMES, progress=False,
    )  # fmt: skip
    return records.read(path)


def test_a_row_for_each_source_holds_the_medians_of_its_windows(tmp_path, store):
    rows = score(store, tmp_path / "t.csv")
    assert [(row["item"], row["source"]) for row in rows] == [
        (f"track {n}", name) for n in range(3) for name in NAMES
    ]
    assert [(row["frames"], row["silent"]) for row in rows[::2]] == [
        ("3", "0"), ("3", "1"), ("5", "0"),
    ]  # fmt: skip
    _, sources = store.split("test").load(1)
    reference = torch.from_numpy(sources)
    estimate = reference + 0.3 * reference.flip(0) + 0.1 * reference.sum(0).roll(7)
    scores = bss_eval(estimate, reference, RATE)
    for key, values in zip(("sdr", "isr", "sir", "sar"), scores, strict=True):
        kept = [float(value) for value in values[1] if value == value]
        assert len(kept) == 3
        assert float(rows[3][key]) == pytest.approx(statistics.median(kept), abs=1e-4)


def test_estimates_in_any_order_are_assigned_to_their_sources(tmp_path, store):
    named_rows = score(store, tmp_path / "named.csv")
    free_rows = score(store, tmp_path / "free.csv", permute=True, swapped=True)
    for free, named in zip(free_rows, named_rows, strict=True):
        assert free["source"] == named["source"]
        assert float(free["sdr"]) == pytest.approx(float(named["sdr"]), abs=1e-9)
    rows = score(store, tmp_path / "wrong.csv", swapped=True)
    assert all(float(row["sdr"]) < 0 for row in rows)


def write(path, rows):
    head = "item,source,sdr,isr,sir,sar,frames,silent\n"
    path.write_text(head + "".join(",".join(map(str, row)) + "\n" for row in rows))


def test_the_summary_is_medians_over_tracks_and_their_mean(tmp_path):
    path = tmp_path / "t.csv"
    nothing = (math.nan,) * 4
    write(path, [
        ("a", "voice", 1.0, 2.0, 3.0, 4.0, 9, 0), ("a", "rest", 5.0, 5.0, 5.0, 5.0, 9, 0),
        ("b", "voice", 3.0, 2.0, 3.0, 4.0, 7, 2), ("b", "rest", 7.0, 5.0, 5.0, 5.0, 7, 2),
        ("c", "voice", 9.0, 2.0, 3.0, 4.0, 9, 0), ("c", "rest", *nothing, 0, 9),
    ])  # fmt: skip
    summary = summarise(BssEval(), path)
    assert summary["sources"]["voice"] == {
        "sdr": 3.0, "isr": 2.0, "sir": 3.0, "sar": 4.0, "tracks": 3,
    }  # fmt: skip
    assert summary["sources"]["rest"]["sdr"] == 6.0
    assert summary["sources"]["rest"]["tracks"] == 2
    assert summary["mean"] == {"sdr": 4.5, "isr": 3.5, "sir": 4.0, "sar": 4.5}
    assert (summary["tracks"], summary["unscored"]) == (3, 1)
    text = BssEval().as_text(summary)
    assert "voice               3.00    2.00    3.00    4.00       3" in text
    assert "mean                4.50    3.50    4.00    4.50\n" in text
    assert "of 3 tracks, 1 without a score" in text
