"""BSS Eval: the package museval's numbers, then shapes, silence, limits."""

import numpy as np
import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.optional import import_museval

RATE = 2000


def stems(seed: int = 0, channels: int = 1) -> torch.Tensor:
    """(S, C, T): two sources of two seconds."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 2 * RATE, generator=generator)


def museval_scores(estimate: torch.Tensor, reference: torch.Tensor, window: int) -> np.ndarray:
    """(4, S, windows) from (S, C, T)."""
    pair = (signal.transpose(1, 2).double().numpy() for signal in (reference, estimate))
    return np.stack(import_museval().evaluate(*pair, win=window, hop=window))


@pytest.mark.parametrize(
    ("sources", "channels", "length", "window"),
    [
        (2, 2, 12_345, 1000),  # the last window is cut off
        (3, 1, 3000, 4000),  # shorter than a window
        (2, 1, 300_000, 30_000),  # more blocks and windows than are taken at a time
    ],
)
def test_scores_are_those_of_museval(sources: int, channels: int, length: int, window: int) -> None:
    """Estimates that leak, are filtered and noisy: all four errors."""
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(sources, channels, length, generator=generator)
    reference += 0.7 * reference.roll(1, dims=1) + 0.6 * reference.roll(1, dims=2)
    estimate = reference + 0.4 * reference.roll(3, dims=2) + 0.2 * reference.roll(1, dims=0)
    estimate += 0.1 * torch.randn(reference.shape, generator=generator)
    scores = torch.stack(list(bss_eval(estimate, reference, window)))
    expected = torch.from_numpy(museval_scores(estimate, reference, window))
    assert scores.shape == (4, sources, max(1, length // window))
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)


def test_low_sounds_of_16_bits_score_as_in_museval() -> None:
    """Next to nothing in most of the band: the equations are a million times worse conditioned."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(4, 1, 20_000, generator=generator)
    low = torch.nn.functional.conv1d(noise, torch.hann_window(65).reshape(1, 1, -1) / 40)
    reference = (low.reshape(2, 2, -1) * 2**13).round() / 2**15
    estimate = reference + 0.2 * reference.flip(0) + 0.05 * reference.roll(700, dims=2)
    scores = torch.stack(list(bss_eval(estimate, reference, 2000)))
    expected = torch.from_numpy(museval_scores(estimate, reference, 2000))
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)


def test_equal_channels_and_equal_sources_are_no_error() -> None:
    """Voices are often the same on both sides, which makes the equations singular."""
    reference = stems(channels=1).repeat(1, 2, 1)
    alone = bss_eval(stems() + 0.1 * stems(1), stems(), RATE)
    doubled = bss_eval(reference + 0.1 * stems(1).repeat(1, 2, 1), reference, RATE)
    for one, other in zip(alone, doubled, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.02)
    copies = stems()[:1].repeat(2, 1, 1)
    assert bss_eval(copies + 0.1 * stems(1), copies, RATE).sdr.isfinite().all()


def test_scores_of_each_window_follow_the_noise() -> None:
    reference = stems()
    noise = stems(1)
    noise[0] *= 0.1
    noise[..., RATE:] *= 0.1
    scores = bss_eval(reference + noise, reference, RATE)
    assert all(score.shape == (2, 2) for score in scores)
    expected = torch.tensor([[20.0, 40.0], [0.0, 20.0]]).double()
    torch.testing.assert_close(scores.sdr, expected, rtol=0, atol=1.5)


def test_leakage_shows_in_sir() -> None:
    reference = stems(channels=2)
    leaky = reference + 0.5 * reference.flip(0)
    scores = bss_eval(leaky, reference, RATE, seconds=2.0)
    assert scores.sir.shape == (2, 1)
    torch.testing.assert_close(scores.sir, torch.full_like(scores.sir, 6.0), rtol=0, atol=2.0)
    assert (scores.sar > scores.sir + 10).all()  # leakage is no artifact


def test_equal_signals_are_finite() -> None:
    for score in bss_eval(stems(), stems(), RATE):
        assert score.isfinite().all()
        assert score.max() <= LIMIT


def test_silent_window_is_undefined() -> None:
    reference = stems()
    reference[0, :, :RATE] = 0
    sdr = bss_eval(reference + 0.1 * stems(1), reference, RATE).sdr
    assert sdr[:, 0].isnan().all()
    assert sdr[:, 1].isfinite().all()


@pytest.mark.parametrize("silent", ["estimate", "reference"])
def test_silent_source_is_undefined_and_no_error(silent: str) -> None:
    quiet = stems()
    quiet[1] = 0
    pair = (quiet, stems()) if silent == "estimate" else (stems(), quiet)
    assert all(score.isnan().all() for score in bss_eval(*pair, RATE))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        bss_eval(stems()[:1], stems(), RATE)
