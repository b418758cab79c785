"""Eq. (8) against the equation written out, and signals whose ratio is known."""

from itertools import permutations

import pytest
import torch

from autoclip_sep.losses.snr import snr_loss


def example(seed: int = 0, sources: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimates at some +10 dB, in the reversed order of the references."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    noise = torch.randn(2, sources, 50, dtype=torch.float64, generator=generator)
    return reference.flip(1) + 0.3 * noise, reference


def printed_loss(estimate: torch.Tensor, reference: torch.Tensor, permute: bool) -> list[float]:
    count = estimate.shape[1]
    result = []
    for e, r in zip(estimate, reference, strict=True):
        values = []
        for order in permutations(range(count)) if permute else [tuple(range(count))]:
            ratios = [
                r[j].square().sum() / (r[j] - e[order[j]]).square().sum() for j in range(count)
            ]
            values.append(sum(-10 * float(torch.log10(ratio)) for ratio in ratios) / count)
        result.append(min(values))
    return result


@pytest.mark.parametrize("permute", [True, False])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_equals_the_printed_equation(permute: bool, dtype: torch.dtype, rtol: float) -> None:
    estimate, reference = example()
    loss = snr_loss(estimate.to(dtype), reference.to(dtype), permute)
    assert loss.dtype == dtype
    assert loss.tolist() == pytest.approx(printed_loss(estimate, reference, permute), rel=rtol)


@pytest.mark.parametrize("decibel", [-40.0, 0.0, 20.0, 60.0])
def test_known_ratios(decibel: float) -> None:
    _, reference = example()
    estimate = reference * (1 - 10 ** (-decibel / 20))
    assert snr_loss(estimate, reference, False).tolist() == pytest.approx([-decibel] * 2, abs=1e-4)


def test_zero_estimate_scores_zero() -> None:
    _, reference = example()
    assert snr_loss(0 * reference, reference).tolist() == pytest.approx([0, 0], abs=1e-10)


def test_each_utterance_has_one_permutation_of_its_own() -> None:
    _, reference = example(sources=2)
    estimate = reference.clone()
    estimate[1] = estimate[1].flip(0)
    assert snr_loss(estimate, reference).max() < -100
    estimate[..., ::2] = estimate.flip(1)[..., ::2]  # swapped on alternate samples
    assert snr_loss(estimate, reference).min() > -10


@pytest.mark.parametrize("permute", [True, False])
def test_gradient_is_that_of_the_value(permute: bool) -> None:
    estimate, reference = example()
    estimate.requires_grad_()
    assert torch.autograd.gradcheck(lambda e: snr_loss(e, reference, permute), estimate)


def test_loudness_changes_nothing() -> None:
    estimate, reference = example()
    torch.testing.assert_close(
        snr_loss(1e-4 * estimate, 1e-4 * reference), snr_loss(estimate, reference)
    )


def test_silent_reference_pulls_its_estimate_towards_silence() -> None:
    estimate, reference = example(sources=2)
    reference[:, 0] = 0
    estimate.requires_grad_()
    snr_loss(estimate, reference, permute=False).sum().backward()
    assert estimate.grad is not None
    pull = (estimate.grad[:, 0] * estimate[:, 0]).sum(dim=-1)
    torch.testing.assert_close(pull, torch.full_like(pull, 10 / 2.302585092994046))


@pytest.mark.parametrize("sources", [1, 2])
def test_silence_has_a_loss_and_a_gradient_of_zero(sources: int) -> None:
    estimate = torch.zeros(1, sources, 50, requires_grad=True)
    loss = snr_loss(estimate, torch.zeros(1, sources, 50))
    (2**16 * loss).sum().backward()  # scaled as a GradScaler does
    assert loss.tolist() == [0]
    assert estimate.grad is not None
    assert not estimate.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_perfect_estimate_has_a_finite_floor(dtype: torch.dtype) -> None:
    _, reference = example()
    reference = reference.to(dtype)
    estimate = reference.clone().requires_grad_()
    loss = snr_loss(estimate, reference)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([-117] * 2, abs=3)
    assert estimate.grad is not None
    assert not estimate.grad.any()
