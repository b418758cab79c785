"""The table of any metric: one row for each source, resumable, summarised."""

import json
import math
from typing import ClassVar

import pytest
import torch
from torch import nn

from autoclip_sep.cli import metrics
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.evaluation.score import score_split, summarise
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Estimate

NAMES = ["si_sdr", "bss_eval", "snr"]  # those that need no further package
PROVENANCE = {"run": "r", "epoch": 3}


class Swapped(nn.Module):
    """The sources in another order."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, batch):
        self.calls.append(batch.items[0])
        return Estimate(torch.zeros(1), waveforms=batch.sources.flip(1))


class Peak(Metric):
    """A metric."""

    name = "peak"
    columns: ClassVar = {"peak": float, "samples": int}

    def score(self, separated):
        for signal in separated.in_order()[0]:
            yield {"peak": float(signal.abs().max()), "samples": signal.shape[-1]}

    def summarise(self, table):
        mean = table["peak"].mean()
        return {} if math.isnan(mean) else {"mean": mean, "longest": int(table["samples"].max())}

    def as_text(self, summary):
        return f"peak {summary['mean']}"


def separation(permute=True):
    return Separation(Swapped(), STFT(), 2, torch.device("cpu"), permute=permute)


def score(store, path, metric=None, provenance=PROVENANCE, permute=True, names=()):
    """Score the test set; returns the items that the network has separated."""
    one, split = separation(permute), store.split("test")
    score_split(
        metric or Peak(), one, split, path, provenance,
        sample_rate=store.sample_rate, names=names, progress=False,
    )  # fmt: skip
    return one.model.calls


def test_one_row_for_every_source_of_every_item(tmp_path, tiny_store):
    split = tiny_store.split("test")
    score(tiny_store, tmp_path / "any.csv", names=("low", "high"))
    score(tiny_store, tmp_path / "fixed.csv", permute=False)
    rows = records.read(tmp_path / "any.csv")
    assert list(rows[0]) == ["item", "source", "peak", "samples"]
    assert sorted({row["item"] for row in rows}) == sorted(split.items)
    assert [row["source"] for row in rows] == ["low", "high"] * len(split)
    _, sources = split.load(split.items.index(rows[0]["item"]))
    assert [float(row["peak"]) for row in rows[:2]] == [float(abs(s).max()) for s in sources]
    fixed = records.read(tmp_path / "fixed.csv")
    assert [row["source"] for row in fixed[:2]] == ["1", "2"]
    assert [row["peak"] for row in fixed[:2]] == [row["peak"] for row in rows[1::-1]]


@pytest.mark.parametrize("metric", [Peak(), *metrics.named(NAMES)])
def test_what_was_scored_is_not_scored_again_and_a_half_item_is(tmp_path, tiny_store, metric):
    path = tmp_path / "test.csv"
    score(tiny_store, path, metric)
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:4]))  # an item and a half
    assert len(score(tiny_store, path, metric)) == len(tiny_store.split("test")) - 1
    assert path.read_text() == whole
    assert score(tiny_store, path, metric) == []


def test_scores_of_another_checkpoint_are_thrown_away(tmp_path, tiny_store):
    path = tmp_path / "test.csv"
    score(tiny_store, path)
    again = score(tiny_store, path, provenance={"run": "r", "epoch": 4})
    assert len(again) == len(tiny_store.split("test"))
    assert json.loads(path.with_suffix(".json").read_text())["provenance"]["epoch"] == 4


def test_the_summary_is_written_beside_the_table(tmp_path):
    path = tmp_path / "test.csv"
    path.with_suffix(".json").write_text('{"provenance": {"epoch": 4}}')
    path.write_text("item,source,peak,samples\na,1,0.5,3\na,2,nan,4\n")
    assert summarise(Peak(), path) == {"mean": 0.5, "longest": 4}
    content = json.loads(path.with_suffix(".json").read_text())
    assert content == {"provenance": {"epoch": 4}, "summary": {"mean": 0.5, "longest": 4}}


@pytest.mark.parametrize("metric", [Peak(), *metrics.named(NAMES)])
def test_nothing_but_silence_is_an_error(tmp_path, metric):
    path = tmp_path / "test.csv"
    values = {float: "nan", int: "0", str: "1"}
    columns = metric.columns
    cells = [values[kind] for kind in columns.values()]
    path.write_text(f"item,source,{','.join(columns)}\na,1,{','.join(cells)}\n")
    with pytest.raises(InputError, match=r"nothing was scored.* silent"):
        summarise(metric, path)


def test_an_estimate_that_is_not_finite_is_no_silence(tmp_path, tiny_store):
    one = separation()
    one.model.register_forward_hook(
        lambda _, __, found: Estimate(found.mixture_stft, waveforms=found.waveforms * math.nan)
    )
    path, split = tmp_path / "test.csv", tiny_store.split("test")
    with pytest.raises(InputError, match=r"estimate is not finite for test\d"):
        score_split(Peak(), one, split, path, PROVENANCE, sample_rate=8000, progress=False)
    assert path.read_text() == "item,source,peak,samples\n"
