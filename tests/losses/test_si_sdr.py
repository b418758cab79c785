"""The SI-SDR loss against the metric, which is held against the printed equations."""

import pytest
import torch

from autoclip_sep.losses.si_sdr import si_sdr_loss
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from tests.losses.test_waveform_losses import noisy


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_is_the_negative_metric(dtype: torch.dtype, rtol: float) -> None:
    estimate, reference = (signal.to(dtype) for signal in noisy())
    best = -si_sdr_permuted(estimate, reference)[0].mean(dim=1)
    torch.testing.assert_close(si_sdr_loss(estimate, reference), best, rtol=rtol, atol=1e-5)
    fixed = -si_sdr(estimate, reference).mean(dim=1)
    torch.testing.assert_close(
        si_sdr_loss(estimate, reference, permute=False), fixed, rtol=rtol, atol=1e-5
    )


@pytest.mark.parametrize("scale", [1e-6, -3.0, 1e6])
def test_the_scale_of_either_signal_changes_nothing(scale: float) -> None:
    estimate, reference = noisy()
    expected = si_sdr_loss(estimate, reference)
    torch.testing.assert_close(si_sdr_loss(scale * estimate, reference), expected)
    torch.testing.assert_close(si_sdr_loss(estimate, scale * reference), expected)


def test_a_perfect_estimate_and_an_orthogonal_one_are_bounded() -> None:
    _, reference = noisy(sources=2)
    assert si_sdr_loss(2 * reference, reference).tolist() == pytest.approx([-120] * 2, abs=0.1)
    orthogonal = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert si_sdr_loss(orthogonal, orthogonal.flip(-1)).tolist() == pytest.approx([120], abs=0.1)
