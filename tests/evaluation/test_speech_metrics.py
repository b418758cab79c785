"""SNR, SDR, STOI, PESQ, SQUIM: the packages' numbers, and what has no score."""

import math
import sys

import numpy as np
import pytest
import torch
from torchaudio.models import squim_objective_base

from autoclip_sep.audio.resampling import resample
from autoclip_sep.cli.metrics import named
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Separated
from autoclip_sep.evaluation.score import score_split, summarise
from autoclip_sep.types import Batch

PACKAGES = {"sdr": "fast_bss_eval", "stoi": "pystoi", "estoi": "pystoi", "pesq_nb": "pesq",
            "pesq_wb": "pesq"}  # fmt: skip
RATE = 16000


def metric(name):
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    return named(name)[0]


def speech(seconds=2.0, seed=0, rate=RATE):
    """Noise with formants, in syllables of 200 ms: (S, C, T)."""
    generator = np.random.default_rng(seed)
    length = round(seconds * rate)
    noise = generator.standard_normal((2, 1, length))
    rhythm = np.repeat(generator.random((2, 1, length // (rate // 5) + 1)) ** 2, rate // 5, axis=2)
    smooth = np.cumsum(noise, axis=2) - np.cumsum(np.roll(noise, 40, axis=2), axis=2)
    return torch.from_numpy(0.02 * smooth * rhythm[..., :length]).float()


def separated(estimate, reference, rate=RATE, permute=False):
    lengths = torch.tensor([reference.shape[-1]])
    batch = Batch(reference.sum(0)[None], reference[None], lengths, ("a",))
    return Separated(batch, estimate[None], ("1", "2"), permute, rate, torch.device("cpu"))


def scores(name, estimate, reference, **more):
    return list(metric(name).score(separated(estimate, reference, **more)))


def noisy(reference, level=0.05):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(reference.shape, generator=generator)
    return reference + level * reference.std() * noise + 0.1 * reference.flip(0)


def official(name, estimate, reference, rate):
    """What the package itself gives for one signal."""
    pair = [reference.double().numpy(), estimate.double().numpy()]
    if name == "sdr":
        from mir_eval.separation import bss_eval_sources

        with pytest.warns(FutureWarning):
            return bss_eval_sources(*(x[None] for x in pair), compute_permutation=False)[0][0]
    if name.startswith("pesq"):
        return pytest.importorskip("pesq").pesq(rate, *pair, name.removeprefix("pesq_"))
    return pytest.importorskip("pystoi").stoi(*pair, rate, extended=name == "estoi")


@pytest.mark.parametrize("name", PACKAGES)
def test_scores_are_those_of_the_official_packages(name):
    pytest.importorskip("mir_eval" if name == "sdr" else PACKAGES[name])
    reference = speech()
    estimate = noisy(reference)
    rows = scores(name, estimate, reference)
    for row, one, other in zip(rows, estimate, reference, strict=True):
        assert row[name] == pytest.approx(official(name, one[0], other[0], RATE), abs=1e-9)
    if name == "sdr":
        mixture = official(name, reference.sum(0)[0], reference[0, 0], RATE)
        assert rows[0]["sdr_mixture"] == pytest.approx(mixture, abs=1e-9)


def test_snr_in_closed_form():
    reference = speech()
    rows = scores("snr", reference * torch.tensor([0.9, 1.1])[:, None, None], reference)
    assert [row["snr"] for row in rows] == pytest.approx([20.0, 20.0], abs=1e-5)
    energy = reference.double().square().sum(dim=(1, 2))
    expected = 10 * math.log10(energy[0] / energy[1])
    assert rows[0]["snr_mixture"] == pytest.approx(expected, abs=1e-6)
    assert scores("snr", 0 * reference, reference)[0]["snr"] == 0
    assert scores("snr", reference, reference)[0]["snr"] == 100


def test_sdr_of_the_reference_itself_is_finite():
    pytest.importorskip("fast_bss_eval")
    assert scores("sdr", speech(1.0), speech(1.0))[0]["sdr"] == pytest.approx(100, abs=20)


@pytest.mark.parametrize("name", [*PACKAGES, "snr"])
def test_the_order_of_the_estimates_is_found(name):
    reference = speech(1.0)
    estimate = noisy(reference)
    fixed = scores(name, estimate, reference)
    assert scores(name, estimate.flip(0), reference, permute=True) == fixed
    assert scores(name, estimate.flip(0), reference)[0][name] < fixed[0][name]


@pytest.mark.parametrize("name", PACKAGES)
def test_channels_are_scored_one_by_one(name):
    left, right = speech(1.0), speech(1.0, seed=1)
    both = scores(name, noisy(torch.cat([left, right], 1)), torch.cat([left, right], 1))
    stereo = noisy(torch.cat([left, right], 1))
    one = scores(name, stereo[:, :1], left)[0][name]
    other = scores(name, stereo[:, 1:], right)[0][name]
    assert both[0][name] == pytest.approx((one + other) / 2, abs=1e-9)


@pytest.mark.parametrize("silent", ["reference", "estimate"])
@pytest.mark.parametrize("name", PACKAGES)
def test_silence_has_no_score(name, silent):
    reference = speech(1.0)
    estimate = noisy(reference)
    (reference if silent == "reference" else estimate)[0] = 0
    first, second = scores(name, estimate, reference)
    assert math.isnan(first[name])
    assert math.isfinite(second[name])


@pytest.mark.parametrize("length", [1, 100, 3000])
@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "sdr"])
def test_what_is_too_short_has_no_score(name, length, recwarn):
    reference = speech(1.0)[..., :length] + 0.01
    assert math.isnan(scores(name, noisy(reference), reference)[0][name])
    assert not [warning for warning in recwarn if "STFT" in str(warning.message)]


def test_sdr_of_one_tone_is_finite():
    """Its delays are linearly dependent."""
    tone = torch.sin(0.1 * torch.arange(8000.0)).expand(2, 1, -1)
    found = scores("sdr", tone + 0.1 * speech(0.5), tone)
    assert all(0 < row["sdr"] <= 100 for row in found)


def test_undefined_scores_are_counted_and_never_averaged(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("item,source,stoi\na,1,0.5\na,2,nan\nb,1,0.7\nb,2,0.9\n")
    stoi = metric("stoi")
    summary = summarise(stoi, path)
    assert summary == {
        "stoi_mean": pytest.approx(0.7), "stoi_median": 0.7, "scored": 3, "mixtures": 2,
        "undefined": 1,
    }  # fmt: skip
    text = stoi.as_text(summary)
    assert text.splitlines() == [
        "STOI                mean  0.700   median  0.700",
        "3 sources of 2 mixtures scored, 1 undefined",
    ]


@pytest.mark.parametrize(("name", "rate"), [("pesq_wb", 8000), ("pesq_nb", 4000)])
def test_rates_below_what_a_metric_needs_are_refused(tmp_path, tiny_store, name, rate):
    message = rf"metric {name} needs \d+ Hz or more; these recordings have {rate} Hz"
    with pytest.raises(InputError, match=message):
        score_split(
            metric(name), None, tiny_store.split("test"), tmp_path / "t.csv", {},
            sample_rate=rate, names=("1", "2"), progress=False,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "needs", "rate"),
    [("squim", "no weights", 8000), ("pesq_wb", "pesq", 8000), ("pesq_nb", "pesq", 4000)],
)
def test_a_rate_that_is_too_low_is_told_before_what_is_missing(
    tmp_path, monkeypatch, name, needs, rate
):
    """Whoever fetched 28 MB of weights for recordings of 8 kHz would be told so only then."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "pesq", None)  # as if it weren't installed
    with pytest.raises(InputError, match=rf"{name} needs \d+ Hz or more; .* have {rate} Hz"):
        named(name, rate)
    with pytest.raises(InputError, match=needs):
        named(name, RATE)


@pytest.mark.parametrize("name", ["pesq_wb", "pesq_nb"])
def test_other_rates_are_resampled(name):
    reference = speech(2.0, rate=44100)
    pair = noisy(reference), reference
    rows = scores(name, *pair, rate=44100)
    low = (torch.from_numpy(resample(signal.double().numpy(), 44100, RATE)) for signal in pair)
    expected = scores(name, *low)
    assert rows[0][name] == pytest.approx(expected[0][name], abs=1e-6)


def test_squim_reads_the_weights_that_are_there(tmp_path, monkeypatch):
    """Random ones, made here; the real ones are 28 MB on a server."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=r"no weights at .*squim_objective_dns2020.pth: get https"):
        named("squim", RATE)
    path = tmp_path / "torchaudio" / "models" / "squim_objective_dns2020.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"squim_objective_dns2020.pth is damaged"):
        named("squim", RATE)
    network = squim_objective_base().eval()
    torch.save(network.state_dict(), path)
    (squim,) = named("squim", RATE)
    estimate = noisy(speech(1.0))
    row = next(iter(squim.score(separated(estimate, speech(1.0)))))
    with torch.inference_mode():
        expected = [float(score) for score in network(estimate[0])]
    assert list(row.values()) == pytest.approx(expected, rel=1e-4)
    assert list(row) == ["squim_stoi", "squim_pesq", "squim_si_sdr"]


@pytest.mark.parametrize("name", ["si_sdr", "snr"])
def test_a_mixture_that_is_the_source_leaves_nothing_to_improve(name):
    """All other sources are silent: 100 dB of the mixture would drown all other improvements."""
    noise = torch.randn(2, 1, 800, generator=torch.Generator().manual_seed(0))
    sources = noise * torch.tensor([1.0, 0.0])[:, None, None]
    first, _ = metric(name).score(separated(sources + 0.1 * noise.flip(0), sources))
    assert math.isnan(first[f"{name}_mixture"])
    assert 15 < first[name] < 25
