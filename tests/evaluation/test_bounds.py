"""The mixture and ideal masks as systems: values known in closed form, and who beats whom."""

import pytest
import torch

from autoclip_sep.evaluation import bounds
from autoclip_sep.evaluation.metrics.si_sdr import SiSdr
from autoclip_sep.metrics.si_sdr import si_sdr
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

CPU = torch.device("cpu")


def batch_of(sources, rest=0.0):
    """Mixtures of sources (B, S, C, T), and of a rest that isn't estimated."""
    items = tuple("abcdefgh"[: len(sources)])
    lengths = torch.full((len(sources),), sources.shape[-1])
    return Batch(sources.sum(dim=1) + rest, sources, lengths, items)


def systems(sources, stft=None):
    return bounds.bounds(sources, stft or STFT(), CPU)


def estimates(batch, stft=None):
    return {name: one.whole(batch) for name, one in systems(batch.sources.shape[1], stft).items()}


def snr_of(estimate, reference):
    noise = (estimate - reference).square().sum(dim=-1)
    return 10 * torch.log10(reference.square().sum(dim=-1) / noise)


def tones(*frequencies, channels=1):
    """Fading in and out, so that little leaks into other bins: (1, S, C, T)."""
    time = torch.arange(32000, dtype=torch.float64) / 8000
    fade = torch.hann_window(32000, dtype=torch.float64)
    sounds = torch.stack([torch.sin(2 * torch.pi * f * time) * fade for f in frequencies])
    gains = torch.linspace(1.0, 0.5, channels, dtype=torch.float64)[:, None]
    return (sounds[:, None] * gains)[None]


@pytest.mark.parametrize("channels", [1, 2])
def test_sources_in_bins_of_their_own_are_separated(channels):
    sources = tones(500.0, 3000.0, channels=channels)
    for name, found in estimates(batch_of(sources)).items():
        scores = si_sdr(found, sources)
        assert found.shape == sources.shape
        assert scores.max() < 1 if name == "mixture" else scores.min() > 60, name


def test_the_mixture_is_its_own_estimate():
    batch = batch_of(torch.randn(2, 3, 2, 500))
    assert torch.equal(estimates(batch)["mixture"], batch.mixture[:, None].expand(-1, 3, -1, -1))


def test_no_real_mask_is_nearer_to_the_sources_than_the_phase_sensitive_one(tiny_store):
    split = tiny_store.split("test")
    for i in range(len(split)):
        mixture, sources = map(torch.from_numpy, split.load(i))
        found = estimates(Batch(mixture[None], sources[None], torch.zeros(1), ("a",)))
        scores = {name: snr_of(one, sources) for name, one in found.items()}
        best = scores.pop("phase_sensitive_mask")
        assert all((best >= one).all() for one in scores.values())
        assert (scores["truncated_phase_sensitive_mask"] >= scores["ideal_binary_mask"]).all()


def test_every_mask_beats_the_mixture_on_every_source(tiny_store, tmp_path):
    split, metric = tiny_store.split("test"), SiSdr()
    how = {"sample_rate": 8000, "names": ["low", "high"], "progress": False}
    scored = bounds.score_all([metric], split, "test", tmp_path, {"of": 1}, STFT(), CPU, **how)
    summaries = scored[metric]
    assert list(summaries) == ["mixture", *bounds.MASKS]
    for name, summary in summaries.items():
        rows = records.read(tmp_path / name / "test.csv")
        gains = [float(row["si_sdr"]) - float(row["si_sdr_mixture"]) for row in rows]
        assert [row["source"] for row in rows] == ["low", "high"] * len(split)
        assert set(gains) == {0.0} if name == "mixture" else min(gains) > 1, name
        assert summary["silent"] == 0
    run = {**summaries["mixture"], "si_sdr_mean": 1.0}
    text = bounds.as_text(metric, summaries, STFT(), run)
    _, mixture, run, binary, *_ = text.splitlines()
    assert [line.split("  ")[0] for line in (mixture, run, binary)] == [
        "mixture", "this run", "ideal binary mask",
    ]  # fmt: skip
    ideal = summaries["ideal_binary_mask"]["si_sdr_mean"]
    assert float(binary.split()[-1]) == pytest.approx(ideal - 1.0, abs=0.006)


def test_what_is_not_estimated_has_its_share_of_the_mask():
    """Or the ideal mask of a single source would be 1 everywhere, and give the mixture back."""
    voice, noise = tones(500.0), tones(3000.0)
    found = estimates(batch_of(voice, rest=noise[:, 0]))
    scores = {name: float(si_sdr(one, voice)) for name, one in found.items()}
    assert scores.pop("mixture") < 1
    assert min(scores.values()) > 60


def test_waveforms_depend_neither_on_chunks_nor_on_the_batch(monkeypatch):
    batch = batch_of(torch.randn(3, 2, 2, 10_001), rest=0.1 * torch.randn(3, 2, 10_001))
    at_once = estimates(batch)
    for b in range(3):
        for name, one in estimates(batch.item(b)).items():
            torch.testing.assert_close(one[0], at_once[name][b])
    monkeypatch.setattr(bounds, "CHUNK", 3000)
    for name, one in estimates(batch).items():
        torch.testing.assert_close(one, at_once[name])


@pytest.mark.parametrize("length", [1, 63, 64, 257])
def test_mixtures_may_be_shorter_than_a_window(length):
    batch = batch_of(torch.randn(1, 2, 1, length))
    assert {one.shape for one in estimates(batch).values()} == {(1, 2, 1, length)}


def test_a_silent_source_stays_silent_and_gives_no_nan():
    sources = torch.randn(1, 2, 1, 4000)
    sources[:, 1] = 0.0
    for name, found in estimates(batch_of(sources)).items():
        assert found.isfinite().all()
        assert name == "mixture" or not found[:, 1].any()
