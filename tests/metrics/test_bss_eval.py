"""The museval wrapper: shapes, silence, limits. What museval computes is museval's business."""

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.metrics.si_sdr import LIMIT

RATE = 2000


def stems(seed: int = 0, channels: int = 1) -> torch.Tensor:
    """(S, C, T): two sources of two seconds."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 2 * RATE, generator=generator)


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
