"""The shared STFT: level, frame count, round trip, precision."""

import cmath
import math

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.stft import STFT


def test_window_sum_is_the_papers() -> None:
    assert STFT(256, 64).window_sum == pytest.approx(162.97, abs=0.005)


def test_a_segment_has_exactly_400_frames_of_129_bins() -> None:
    spectrum = STFT(256, 64).transform(torch.zeros(2, 3, 25_536))
    assert spectrum.shape == (2, 3, 129, 400)
    assert STFT(256, 64).bins == 129


@pytest.mark.parametrize("length", [1, 63, 64, 127, 255, 256, 257, 1000, 8000])
@pytest.mark.parametrize(("window", "hop"), [(256, 64), (512, 128), (256, 128), (4096, 2048)])
def test_round_trip_of_any_length(length: int, window: int, hop: int) -> None:
    stft = STFT(window, hop)
    generator = torch.Generator().manual_seed(length)
    waveform = torch.rand(2, length, dtype=torch.float64, generator=generator) * 2 - 1
    spectrum = stft.transform(waveform)
    assert spectrum.shape == (2, stft.bins, 1 + length // hop)
    restored = stft.inverse(spectrum, length)
    torch.testing.assert_close(restored, waveform, rtol=0, atol=1e-11)


def test_transform_is_the_printed_sum() -> None:
    stft = STFT(8, 4)
    waveform = torch.randn(10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spectrum = stft.transform(waveform)
    window = [math.sqrt(0.5 - 0.5 * math.cos(2 * math.pi * i / 8)) for i in range(8)]
    padded = [0.0] * 4 + waveform.tolist() + [0.0] * 4
    for n in range(3):
        for f in range(5):
            terms = [
                window[i] * padded[4 * n + i] * cmath.exp(-2j * math.pi * f * i / 8)
                for i in range(8)
            ]
            assert abs(complex(spectrum[f, n]) - sum(terms) / sum(window)) < 1e-14


@pytest.mark.parametrize(("window", "hop"), [(256, 64), (2048, 512)])
def test_full_scale_sine_has_magnitude_one_half(window: int, hop: int) -> None:
    """Amplitude 1 splits into two lines of 1/2; the window's sum takes the window out."""
    bin_number = 20
    time = torch.arange(8 * window, dtype=torch.float64)
    sine = torch.sin(2 * math.pi * bin_number / window * time)
    inner = STFT(window, hop).transform(sine).abs()[bin_number, 8:-8]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5), rtol=1e-3, atol=0)


def test_types_follow_the_waveform_and_autocast_changes_nothing() -> None:
    stft = STFT()
    waveform = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert stft.transform(waveform).dtype == torch.complex64
    assert stft.transform(waveform.double()).dtype == torch.complex128
    assert stft.transform(waveform.bfloat16()).dtype == torch.complex64
    with torch.autocast("cpu", torch.bfloat16):
        under = stft.inverse(stft.transform(waveform), 1000)
    assert under.dtype == torch.float32
    assert torch.equal(under, stft.inverse(stft.transform(waveform), 1000))


def test_no_state_and_usable_after_inference_mode() -> None:
    stft = STFT()
    assert not stft.state_dict()
    with torch.inference_mode():
        stft.transform(torch.ones(300))
    waveform = torch.ones(300, requires_grad=True)
    stft.transform(waveform).abs().sum().backward()
    assert waveform.grad is not None


def test_gradients_through_both_directions() -> None:
    stft = STFT(8, 2)
    waveform = torch.randn(
        1, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True
    )
    assert torch.autograd.gradcheck(stft.transform, waveform)
    spectrum = stft.transform(waveform).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stft.inverse(x, 21), spectrum)


@pytest.mark.parametrize(("window", "hop"), [(256, 129), (256, 0), (256, -1)])
def test_hops_that_lose_the_signal_are_refused(window: int, hop: int) -> None:
    with pytest.raises(InputError, match="hop_length"):
        STFT(window, hop)
