"""Eq. (4) against the equation written out point by point."""

import cmath
from itertools import permutations

import pytest
import torch

from autoclip_sep.losses.mask_inference import (
    mask_inference_loss,
    truncated_phase_sensitive_target,
)

SHAPE = (2, 3, 4, 5)  # B, S, F, N


def example(dtype: torch.dtype = torch.complex128) -> tuple[torch.Tensor, ...]:
    """Masks, mixture and sources; the sources don't quite sum to the mixture."""
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(*SHAPE, dtype=torch.complex128, generator=generator)
    noise = torch.randn(2, 4, 5, dtype=torch.complex128, generator=generator)
    mask = torch.rand(*SHAPE, dtype=torch.float64, generator=generator)
    mixture = sources.sum(dim=1) + 0.1 * noise
    real = torch.zeros((), dtype=dtype).real.dtype
    return mask.to(real), mixture.to(dtype), sources.to(dtype)


def printed_target(x: complex, s: complex) -> float:
    return min(max(abs(s) * cmath.cos(cmath.phase(x) - cmath.phase(s)).real, 0.0), abs(x))


def printed_loss(
    mask: torch.Tensor, mixture: torch.Tensor, sources: torch.Tensor, permute: bool
) -> list[float]:
    batch, count, bins, frames = mask.shape
    result = []
    for b in range(batch):
        values = []
        for order in permutations(range(count)) if permute else [tuple(range(count))]:
            total = 0.0
            for j in range(count):
                for f in range(bins):
                    for n in range(frames):
                        x, s = complex(mixture[b, f, n]), complex(sources[b, j, f, n])
                        estimate = float(mask[b, order[j], f, n]) * abs(x)
                        total += abs(estimate - printed_target(x, s))
            values.append(total / (count * bins * frames))
        result.append(min(values))
    return result


@pytest.mark.parametrize("permute", [True, False])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.complex128, 1e-8), (torch.complex64, 1e-4)])
def test_equals_the_printed_equation(permute: bool, dtype: torch.dtype, rtol: float) -> None:
    mask, mixture, sources = example(dtype)
    loss = mask_inference_loss(mask, mixture, sources, permute)
    assert loss.dtype == mask.dtype
    assert loss.tolist() == pytest.approx(printed_loss(*example(), permute), rel=rtol)


def test_target_is_cut_at_zero_and_at_the_mixture() -> None:
    mixture = torch.tensor([[[2 + 0j]]], dtype=torch.complex128)
    sources = torch.tensor([1 + 1j, -1 + 1j, 5 - 1j, 0]).to(mixture.dtype).reshape(1, 4, 1, 1)
    target = truncated_phase_sensitive_target(mixture, sources)
    torch.testing.assert_close(target.flatten(), torch.tensor([1.0, 0.0, 2.0, 0.0]).double())


def test_perfect_masks_in_any_order_score_zero_only_with_permutation() -> None:
    _, mixture, sources = example()
    target = truncated_phase_sensitive_target(mixture, sources)
    mask = (target / mixture.abs().unsqueeze(1))[:, [2, 0, 1]]
    assert mask_inference_loss(mask, mixture, sources).max() < 1e-15
    assert mask_inference_loss(mask, mixture, sources, permute=False).min() > 1e-2


def test_speakers_swapped_on_alternate_frames_do_not_score_zero() -> None:
    """The permutation is chosen for the utterance, not for each point."""
    _, mixture, sources = example()
    sources = sources[:, :2]
    target = truncated_phase_sensitive_target(mixture, sources)
    mask = target / mixture.abs().unsqueeze(1)
    mask[..., ::2] = mask.flip(1)[..., ::2]
    assert mask_inference_loss(mask, mixture, sources).min() > 1e-2


def test_each_example_has_its_own_permutation() -> None:
    _, mixture, sources = example()
    sources = sources[:, :2]
    mask = truncated_phase_sensitive_target(mixture, sources) / mixture.abs().unsqueeze(1)
    mask[1] = mask[1].flip(0)
    assert mask_inference_loss(mask, mixture, sources).max() < 1e-15


@pytest.mark.parametrize("permute", [True, False])
def test_gradient_is_that_of_the_value(permute: bool) -> None:
    mask, mixture, sources = example()
    mask.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m: mask_inference_loss(m, mixture, sources, permute), mask
    )


def test_scales_with_the_mixture() -> None:
    mask, mixture, sources = example()
    torch.testing.assert_close(
        mask_inference_loss(mask, 1e-3 * mixture, 1e-3 * sources),
        1e-3 * mask_inference_loss(mask, mixture, sources),
    )
