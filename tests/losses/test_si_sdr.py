"""The SI-SDR loss against the metric, which is held against the printed equations."""

import pytest
import torch

from autoclip_sep.losses.si_sdr import si_sdr_loss
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted


def example(seed: int = 0, sources: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimates at some +10 dB, in the reversed order of the references."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    noise = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    return reference.flip(1) + 0.3 * noise, reference


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_is_the_negative_metric(dtype: torch.dtype, rtol: float) -> None:
    estimate, reference = (signal.to(dtype) for signal in example())
    best = -si_sdr_permuted(estimate, reference)[0].mean(dim=1)
    torch.testing.assert_close(si_sdr_loss(estimate, reference), best, rtol=rtol, atol=1e-5)
    fixed = -si_sdr(estimate, reference).mean(dim=1)
    torch.testing.assert_close(
        si_sdr_loss(estimate, reference, permute=False), fixed, rtol=rtol, atol=1e-5
    )


@pytest.mark.parametrize("scale", [1e-6, -3.0, 1e6])
def test_the_scale_of_either_signal_changes_nothing(scale: float) -> None:
    estimate, reference = example()
    expected = si_sdr_loss(estimate, reference)
    torch.testing.assert_close(si_sdr_loss(scale * estimate, reference), expected)
    torch.testing.assert_close(si_sdr_loss(estimate, scale * reference), expected)


@pytest.mark.parametrize("permute", [True, False])
def test_gradient_is_that_of_the_value(permute: bool) -> None:
    estimate, reference = example()
    estimate.requires_grad_()
    assert torch.autograd.gradcheck(lambda e: si_sdr_loss(e, reference, permute), estimate)


def test_a_perfect_estimate_and_an_orthogonal_one_are_bounded() -> None:
    _, reference = example(sources=2)
    assert si_sdr_loss(2 * reference, reference).tolist() == pytest.approx([-120] * 2, abs=0.1)
    orthogonal = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert si_sdr_loss(orthogonal, orthogonal.flip(-1)).tolist() == pytest.approx([120], abs=0.1)


def test_a_silent_reference_pulls_its_estimate_towards_silence() -> None:
    estimate, reference = example(sources=2)
    reference[:, 0] = 0
    estimate.requires_grad_()
    loss = si_sdr_loss(estimate, reference, permute=False)
    loss.sum().backward()
    assert estimate.grad is not None
    assert ((estimate.grad[:, 0] * estimate[:, 0]).sum(dim=-1) > 0).all()


def test_where_all_is_silent_the_loss_is_zero() -> None:
    silence = torch.zeros(1, 2, 10, requires_grad=True)
    loss = si_sdr_loss(silence, torch.zeros(1, 2, 10))
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert silence.grad is not None
    assert silence.grad.isfinite().all()
