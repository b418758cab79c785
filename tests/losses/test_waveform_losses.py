"""One contract over the losses of waveforms: gradients, permutations, silence."""

from collections.abc import Callable

import pytest
import torch

from autoclip_sep.losses.si_sdr import si_sdr_loss
from autoclip_sep.losses.snr import snr_loss

Loss = Callable[..., torch.Tensor]
every_loss = pytest.mark.parametrize("loss", [snr_loss, si_sdr_loss])


def noisy(sources: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimates at some +10 dB, in the reversed order of the references (B, S, T)."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    noise = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    return reference.flip(1) + 0.3 * noise, reference


@every_loss
@pytest.mark.parametrize("permute", [True, False])
def test_gradient_is_that_of_the_value(loss: Loss, permute: bool) -> None:
    estimate, reference = noisy()
    estimate.requires_grad_()
    assert torch.autograd.gradcheck(lambda e: loss(e, reference, permute), estimate)


@every_loss
def test_each_utterance_has_one_permutation_of_its_own(loss: Loss) -> None:
    _, reference = noisy(sources=2)
    estimate = reference.clone()
    estimate[1] = estimate[1].flip(0)
    assert loss(estimate, reference).max() < -100
    estimate[..., ::2] = estimate.flip(1)[..., ::2]  # swapped on alternate samples
    assert loss(estimate, reference).min() > -10


@every_loss
def test_a_silent_reference_pulls_its_estimate_towards_silence(loss: Loss) -> None:
    estimate, reference = noisy(sources=2)
    reference[:, 0] = 0
    estimate.requires_grad_()
    loss(estimate, reference, permute=False).sum().backward()
    assert estimate.grad is not None
    pull = (estimate.grad[:, 0] * estimate[:, 0]).sum(dim=-1)
    assert (pull > 0).all()
    if loss is snr_loss:  # 10 log10 of the error's energy, over two sources
        torch.testing.assert_close(pull, torch.full_like(pull, 10 / 2.302585092994046))


@every_loss
@pytest.mark.parametrize("sources", [1, 2])
def test_silence_has_a_loss_and_a_gradient_of_zero(loss: Loss, sources: int) -> None:
    estimate = torch.zeros(1, sources, 50, requires_grad=True)
    value = loss(estimate, torch.zeros(1, sources, 50))
    (2**16 * value).sum().backward()  # scaled as a GradScaler does
    assert value.tolist() == [0]
    assert estimate.grad is not None
    assert not estimate.grad.any()
