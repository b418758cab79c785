"""SI-SDR: which estimate is assigned to which source, and the summary of a table."""

import math

import torch
from torch import nn

from autoclip_sep.evaluation.metrics.si_sdr import SiSdr
from autoclip_sep.evaluation.score import score_split, summarise
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.metrics.si_sdr import si_sdr
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Estimate


class Oracle(nn.Module):
    """The sources in another order, with a little noise that depends on their length."""

    def forward(self, batch):
        generator = torch.Generator().manual_seed(int(batch.lengths[0]))
        noise = torch.randn(batch.sources.shape, generator=generator) * 0.001
        return Estimate(torch.zeros(1), waveforms=(batch.sources + noise).flip(1))


def separation(permute=True):
    return Separation(Oracle(), STFT(), 2, torch.device("cpu"), permute=permute)


def score(split, path, permute=True, one=None, **more):
    one = one or separation(permute)
    score_split(SiSdr(), one, split, path, {}, sample_rate=8000, progress=False, **more)
    return records.read(path)


def test_one_row_for_every_source_with_its_estimate(tmp_path, tiny_store):
    split = tiny_store.split("test")
    rows = score(split, tmp_path / "test.csv")
    assert {(row["source"], row["estimate"]) for row in rows} == {("1", "2"), ("2", "1")}
    assert all(float(row["si_sdr"]) > 15 for row in rows)
    item = split.items.index(rows[0]["item"])
    mixture, sources = (torch.from_numpy(part) for part in split.load(item))
    expected = float(si_sdr(mixture[0], sources[0, 0]))
    assert math.isclose(float(rows[0]["si_sdr_mixture"]), expected, rel_tol=1e-5)


def test_named_sources_keep_their_place_and_their_names(tmp_path, tiny_store):
    split, names = tiny_store.split("test"), ("low", "high")
    rows = score(split, tmp_path / "test.csv", permute=False, names=names)
    assert {(row["source"], row["estimate"]) for row in rows} == {("low", "low"), ("high", "high")}
    assert all(float(row["si_sdr"]) < 0 for row in rows)
    rows = score(split, tmp_path / "any.csv", names=names)  # estimates in any order have none
    assert {(row["source"], row["estimate"]) for row in rows} == {("low", "2"), ("high", "1")}


def test_stereo_is_scored_as_one_long_signal(tmp_path, tiny_store):
    """Permuted and fixed orders give the same rows where the order is right."""
    split = tiny_store.split("test")
    tables = []
    for permute in (True, False):
        one = separation(permute)
        one.model.forward = lambda batch: Estimate(
            torch.zeros(1), waveforms=batch.sources + 0.1 * batch.mixture[:, None]
        )
        tables.append(score(split, tmp_path / f"{permute}.csv", one=one))
    for left, right in zip(*tables, strict=True):
        assert left["estimate"] == right["estimate"] == left["source"]
        assert math.isclose(float(left["si_sdr"]), float(right["si_sdr"]), rel_tol=1e-6)


def write_scores(path, rows):
    head = "item,source,estimate,si_sdr,si_sdr_mixture,silent\n"
    path.write_text(head + "".join(",".join(map(str, row)) + "\n" for row in rows))


def test_the_summary_counts_silence_and_never_averages_it(tmp_path):
    path = tmp_path / "test.csv"
    write_scores(path, [
        ("a", 1, 1, 10.0, 1.0, 0), ("a", 2, 2, 4.0, -1.0, 0),
        ("b", 1, 1, 7.0, 0.0, 0), ("b", 2, 2, math.nan, math.nan, 1),
    ])  # fmt: skip
    summary = summarise(SiSdr(), path)
    assert summary == {
        "si_sdr_mean": 7.0, "si_sdr_median": 7.0,
        "si_sdr_improvement_mean": 7.0, "si_sdr_improvement_median": 7.0,
        "mixtures": 2, "scored": 3, "silent": 1,
    }  # fmt: skip
    assert "3 sources of 2 mixtures scored, 1 silent" in SiSdr().as_text(summary)


def test_named_sources_are_also_summarised_one_by_one(tmp_path):
    path = tmp_path / "test.csv"
    write_scores(path, [
        ("a", "vocals", "vocals", 10.0, 1.0, 0), ("a", "bass", "bass", 4.0, -1.0, 0),
        ("b", "vocals", "vocals", 7.0, 0.0, 0), ("b", "bass", "bass", math.nan, math.nan, 1),
    ])  # fmt: skip
    summary = summarise(SiSdr(), path)
    assert summary["sources"]["vocals"]["si_sdr_mean"] == 8.5
    assert summary["sources"]["vocals"]["si_sdr_improvement_mean"] == 8.0
    assert summary["sources"]["bass"] == {
        "si_sdr_mean": 4.0, "si_sdr_median": 4.0,
        "si_sdr_improvement_mean": 5.0, "si_sdr_improvement_median": 5.0, "scored": 1,
    }  # fmt: skip
    assert "vocals            mean   8.50 dB" in SiSdr().as_text(summary)
