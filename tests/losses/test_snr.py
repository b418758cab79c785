"""Eq. (8) against the equation written out, and signals whose ratio is known."""

from itertools import permutations

import pytest
import torch

from autoclip_sep.losses.snr import snr_loss
from tests.losses.test_waveform_losses import noisy


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
    estimate, reference = noisy()
    loss = snr_loss(estimate.to(dtype), reference.to(dtype), permute)
    assert loss.dtype == dtype
    assert loss.tolist() == pytest.approx(printed_loss(estimate, reference, permute), rel=rtol)


@pytest.mark.parametrize("decibel", [-40.0, 0.0, 20.0, 60.0])
def test_known_ratios(decibel: float) -> None:
    _, reference = noisy()
    estimate = reference * (1 - 10 ** (-decibel / 20))
    assert snr_loss(estimate, reference, False).tolist() == pytest.approx([-decibel] * 2, abs=1e-4)


def test_zero_estimate_scores_zero() -> None:
    _, reference = noisy()
    assert snr_loss(0 * reference, reference).tolist() == pytest.approx([0, 0], abs=1e-10)


def test_loudness_changes_nothing() -> None:
    estimate, reference = noisy()
    torch.testing.assert_close(
        snr_loss(1e-4 * estimate, 1e-4 * reference), snr_loss(estimate, reference)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_perfect_estimate_has_a_finite_floor(dtype: torch.dtype) -> None:
    _, reference = noisy()
    reference = reference.to(dtype)
    estimate = reference.clone().requires_grad_()
    loss = snr_loss(estimate, reference)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([-117] * 2, abs=3)
    assert estimate.grad is not None
    assert not estimate.grad.any()
