import json
import math

import pytest
import torch
from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.score import COLUMNS, score_split
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.evaluation.summary import as_text, summarise
from autoclip_sep.metrics.si_sdr import si_sdr
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Estimate

PROVENANCE = {"run": "r", "epoch": 3}


class Oracle(nn.Module):
    """Returns the sources in another order, with a little noise that depends on their length."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, batch):
        self.calls.append(batch.items)
        generator = torch.Generator().manual_seed(int(batch.lengths[0]))
        noise = torch.randn(batch.sources.shape, generator=generator) * 0.001
        return Estimate(torch.zeros(1), waveforms=(batch.sources + noise).flip(1))


def separation(permute=True):
    return Separation(Oracle(), STFT(), 2, torch.device("cpu"), permute=permute)


def score(store, path, provenance=PROVENANCE, permute=True, **more):
    one = separation(permute)
    score_split(one, store.split("test"), path, provenance, progress=False, **more)
    return one.model.calls


def test_one_row_for_every_source_with_its_estimate(tmp_path, tiny_store):
    split = tiny_store.split("test")
    calls = score(tiny_store, tmp_path / "test.csv")
    rows = records.read(tmp_path / "test.csv")
    assert sorted({row["item"] for row in rows}) == sorted(split.items)
    assert len(rows) == 2 * len(split)
    assert {(row["source"], row["estimate"]) for row in rows} == {("1", "2"), ("2", "1")}
    assert all(float(row["si_sdr"]) > 15 for row in rows)
    assert len(calls) == len(split)
    item = split.items.index(rows[0]["item"])
    mixture, sources = (torch.from_numpy(part) for part in split.load(item))
    expected = float(si_sdr(mixture[0], sources[0, 0]))
    assert math.isclose(float(rows[0]["si_sdr_mixture"]), expected, rel_tol=1e-5)


def test_named_sources_keep_their_place(tmp_path, tiny_store):
    score(tiny_store, tmp_path / "test.csv", permute=False)
    rows = records.read(tmp_path / "test.csv")
    assert {(row["source"], row["estimate"]) for row in rows} == {("1", "1"), ("2", "2")}
    assert all(float(row["si_sdr"]) < 0 for row in rows)


def test_sources_are_called_by_their_names(tmp_path, tiny_store):
    names = ("low", "high")
    score(tiny_store, tmp_path / "test.csv", permute=False, names=names)
    rows = records.read(tmp_path / "test.csv")
    assert {(row["source"], row["estimate"]) for row in rows} == {("low", "low"), ("high", "high")}
    score(tiny_store, tmp_path / "any.csv", names=names)  # estimates in any order have none
    rows = records.read(tmp_path / "any.csv")
    assert {(row["source"], row["estimate"]) for row in rows} == {("low", "2"), ("high", "1")}


def test_stereo_is_scored_as_one_long_signal(tmp_path, tiny_store):
    """Rows of an order that is free and of one that isn't agree where the orders do."""
    split = tiny_store.split("test")
    one, other = separation(), separation(permute=False)
    for which, path in ((one, tmp_path / "a.csv"), (other, tmp_path / "b.csv")):
        which.model.forward = lambda batch: Estimate(
            torch.zeros(1), waveforms=batch.sources + 0.1 * batch.mixture[:, None]
        )
        score_split(which, split, path, PROVENANCE, progress=False)
    for left, right in zip(records.read(tmp_path / "a.csv"), records.read(tmp_path / "b.csv"),
                           strict=True):  # fmt: skip
        assert left["estimate"] == right["estimate"] == left["source"]
        assert math.isclose(float(left["si_sdr"]), float(right["si_sdr"]), rel_tol=1e-6)


def test_what_was_scored_is_not_scored_again_and_a_half_item_is(tmp_path, tiny_store):
    path = tmp_path / "test.csv"
    score(tiny_store, path)
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:4]))  # header, one whole item, one source of the next
    calls = score(tiny_store, path)
    assert len(calls) == len(tiny_store.split("test")) - 1
    assert path.read_text() == whole
    assert score(tiny_store, path) == []


def test_scores_of_another_checkpoint_are_thrown_away(tmp_path, tiny_store):
    path = tmp_path / "test.csv"
    score(tiny_store, path)
    assert len(score(tiny_store, path, {"run": "r", "epoch": 4})) == len(tiny_store.split("test"))
    assert json.loads(path.with_suffix(".json").read_text())["provenance"]["epoch"] == 4


def write_scores(path, rows):
    path.with_suffix(".json").write_text('{"provenance": {}}')
    head = "item,source,estimate,si_sdr,si_sdr_mixture,silent\n"
    path.write_text(head + "".join(",".join(map(str, row)) + "\n" for row in rows))


def test_the_summary_counts_silence_and_never_averages_it(tmp_path):
    path = tmp_path / "test.csv"
    write_scores(path, [
        ("a", 1, 1, 10.0, 1.0, 0), ("a", 2, 2, 4.0, -1.0, 0),
        ("b", 1, 1, 7.0, 0.0, 0), ("b", 2, 2, math.nan, math.nan, 1),
    ])  # fmt: skip
    summary = summarise(path)
    assert summary == {
        "si_sdr_mean": 7.0, "si_sdr_median": 7.0,
        "si_sdr_improvement_mean": 7.0, "si_sdr_improvement_median": 7.0,
        "mixtures": 2, "scored": 3, "silent": 1,
    }  # fmt: skip
    assert json.loads(path.with_suffix(".json").read_text())["summary"] == summary
    assert "3 sources of 2 mixtures scored, 1 silent" in as_text(summary)


def test_named_sources_are_also_summarised_one_by_one(tmp_path):
    path = tmp_path / "test.csv"
    write_scores(path, [
        ("a", "vocals", "vocals", 10.0, 1.0, 0), ("a", "bass", "bass", 4.0, -1.0, 0),
        ("b", "vocals", "vocals", 7.0, 0.0, 0), ("b", "bass", "bass", math.nan, math.nan, 1),
    ])  # fmt: skip
    summary = summarise(path)
    assert summary["sources"]["vocals"]["si_sdr_mean"] == 8.5
    assert summary["sources"]["vocals"]["si_sdr_improvement_mean"] == 8.0
    assert summary["sources"]["bass"] == {
        "si_sdr_mean": 4.0, "si_sdr_median": 4.0,
        "si_sdr_improvement_mean": 5.0, "si_sdr_improvement_median": 5.0, "scored": 1,
    }  # fmt: skip
    assert "vocals            mean   8.50 dB" in as_text(summary)


def test_nothing_but_silence_is_an_error(tmp_path):
    path = tmp_path / "test.csv"
    write_scores(path, [("a", 1, 1, math.nan, math.nan, 1)])
    with pytest.raises(InputError, match="silent"):
        summarise(path)


def test_an_estimate_that_is_not_finite_is_no_silence(tmp_path, tiny_store):
    one = separation()
    one.model.register_forward_hook(
        lambda _, __, found: Estimate(found.mixture_stft, waveforms=found.waveforms * math.nan)
    )
    split = tiny_store.split("test")
    with pytest.raises(InputError, match=r"estimate is not finite for test\d"):
        score_split(one, split, tmp_path / "test.csv", PROVENANCE, progress=False)
    assert records.Records(tmp_path / "test.csv", COLUMNS).rows() == []
