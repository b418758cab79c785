"""The adapter, and our numbers beside those of the library that the paper was written with."""

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.interop import nussl as adapter
from autoclip_sep.losses.deep_clustering import deep_clustering_loss
from autoclip_sep.masks import magnitude_weight
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from autoclip_sep.models.separator import Separator
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

nussl = adapter.nussl

RATE = 8000


def signal(waveform: torch.Tensor, rate: int = RATE) -> "nussl.AudioSignal":
    return nussl.AudioSignal(audio_data_array=waveform.double().numpy(), sample_rate=rate)


def network(heads: list[str]) -> Separator:
    return Separator(STFT(), heads, hidden=8, layers=1, embedding_size=4)


@pytest.mark.parametrize("heads", [["masks"], ["embedding"], ["waveforms"]])
@pytest.mark.parametrize("channels", [1, 2])
def test_separates_as_our_own_function_does(heads: list[str], channels: int) -> None:
    mixture = torch.randn(channels, 3000)
    model = network(heads)

    estimates = adapter.NetworkSeparation(signal(mixture), model, RATE)()

    batch = Batch(mixture[None], torch.zeros(1, 0, channels, 3000), torch.tensor([3000]), ("x",))
    with torch.no_grad():
        expected = separate(model.eval()(batch), batch, model.stft, 2)[0]
    assert len(estimates) == 2
    for estimate, waveform in zip(estimates, expected, strict=True):
        assert estimate.sample_rate == RATE
        assert estimate.audio_data.shape == (channels, 3000)
        torch.testing.assert_close(torch.from_numpy(estimate.audio_data).float(), waveform)


def test_the_network_is_evaluated_without_dropout_and_the_mixture_stays_as_it_was() -> None:
    waveform = torch.randn(1, 2000)
    mixture = signal(waveform)
    separation = adapter.NetworkSeparation(mixture, network(["masks"]).train(), RATE)

    first, second = separation()[0], separation()[0]

    assert (first.audio_data == second.audio_data).all()
    assert (mixture.audio_data == waveform.double().numpy()).all()


def test_another_mixture_at_the_call_as_nussl_allows() -> None:
    separation = adapter.NetworkSeparation(signal(torch.randn(1, 2000)), network(["masks"]), RATE)
    assert separation(audio_signal=signal(torch.randn(1, 1500)))[0].signal_length == 1500


def test_another_sample_rate_is_refused() -> None:
    separation = adapter.NetworkSeparation(
        signal(torch.randn(1, 2000), 16000), network(["masks"]), RATE
    )
    with pytest.raises(InputError, match=r"16000 Hz.*8000 Hz.*resample"):
        separation()


@pytest.mark.filterwarnings("ignore:input_audio_signal has no data", "ignore:Initializing STFT")
def test_a_mixture_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        adapter.NetworkSeparation(nussl.AudioSignal(), network(["masks"]), RATE)()


def test_stft_is_nussls() -> None:
    """nussl's runs through scipy.signal.stft, which divides by the window's sum as ours does."""
    waveform = torch.randn(25536, dtype=torch.float64)
    params = nussl.STFTParams(window_length=256, hop_length=64, window_type="sqrt_hann")
    theirs = nussl.AudioSignal(
        audio_data_array=waveform.numpy(), sample_rate=RATE, stft_params=params
    ).stft()[:, :, 0]

    ours = STFT(256, 64).transform(waveform)

    assert ours.shape == (129, 400)
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-9, atol=1e-12)


def test_si_sdr_is_nussls_on_signals_of_zero_mean() -> None:
    """nussl removes the mean first, which the definition doesn't."""
    reference = torch.randn(2, 4000, dtype=torch.float64)
    estimate = reference.flip(0) + 0.3 * torch.randn(2, 4000, dtype=torch.float64)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)

    evaluator = nussl.evaluation.BSSEvalScale(
        [signal(x[None]) for x in reference],
        [signal(x[None]) for x in estimate],
        compute_permutation=True,
    )
    report = evaluator.evaluate()
    theirs = torch.tensor([report[f"source_{i}"]["SI-SDR"][0] for i in range(2)]).double()

    scores, permutation = si_sdr_permuted(estimate[None], reference[None])
    assert permutation.tolist() == [[1, 0]]
    torch.testing.assert_close(scores[0], theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(si_sdr(estimate.flip(0), reference), theirs, rtol=0, atol=1e-6)


def test_deep_clustering_loss_is_nussls() -> None:
    """nussl takes the square root of the weight and divides by (sum W)^2, which is 1 for ours."""
    generator = torch.Generator().manual_seed(5)
    mixture = torch.randn(1, 129, 20, dtype=torch.complex128, generator=generator)
    weight = magnitude_weight(mixture)
    points = weight.shape[1]
    embedding = torch.rand(1, points, 20, dtype=torch.float64, generator=generator)
    embedding = torch.nn.functional.normalize(embedding, dim=-1)
    loudest = torch.randint(2, (1, points), generator=generator)
    assignment = torch.nn.functional.one_hot(loudest, 2).double()

    theirs = nussl.ml.train.loss.DeepClusteringLoss()(embedding, assignment, weight.sqrt())

    ours = deep_clustering_loss(embedding, assignment, weight)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-6, atol=0)
