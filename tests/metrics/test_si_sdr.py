"""SI-SDR of signals whose score is known, its limits, silence and permutations."""

import math
from itertools import permutations

import pytest
import torch

from autoclip_sep.metrics.si_sdr import LIMIT, si_sdr, si_sdr_permuted


def pair_at(angle: float, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """An estimate at an angle to its reference, of another length."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(800, 2, dtype=torch.float64, generator=generator))[0].T
    estimate = 3 * (math.cos(angle) * plane[0] + math.sin(angle) * plane[1])
    return estimate.to(dtype), plane[0].to(dtype)


def signals(seed: int, sources: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (4, sources, 300)
    reference = torch.randn(*shape, dtype=torch.float64, generator=generator)
    estimate = reference + torch.randn(*shape, dtype=torch.float64, generator=generator)
    order = torch.randperm(sources, generator=generator)
    return estimate[:, order], reference


@pytest.mark.parametrize("degrees", [0.002, 0.06, 1, 20, 45, 60, 89, 120, 179])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
def test_vectors_at_an_angle(degrees: float, dtype: torch.dtype, tolerance: float) -> None:
    """Scores up to 90 dB are not lost to cancellation."""
    angle = math.radians(degrees)
    expected = 10 * math.log10(math.cos(angle) ** 2 / math.sin(angle) ** 2)
    score = si_sdr(*pair_at(angle, dtype))
    assert score.dtype == dtype
    assert float(score) == pytest.approx(expected, abs=1e-3 if degrees < 1 else tolerance)


def test_equals_the_printed_equation() -> None:
    estimate, reference = signals(0)
    scale = (estimate * reference).sum(-1, keepdim=True) / reference.square().sum(-1, keepdim=True)
    target = scale * reference
    expected = 10 * torch.log10(
        target.square().sum(dim=-1) / (target - estimate).square().sum(dim=-1)
    )
    torch.testing.assert_close(si_sdr(estimate, reference), expected, rtol=0, atol=1e-8)


def test_scale_changes_nothing_and_an_offset_does() -> None:
    """No mean is removed: a constant added to the estimate is distortion."""
    estimate, reference = signals(0)
    score = si_sdr(estimate, reference)
    torch.testing.assert_close(si_sdr(-1e-3 * estimate, 1e3 * reference), score)
    close = reference + 0.1 * estimate
    assert (si_sdr(close + 1, reference) < si_sdr(close, reference) - 3).all()


def test_equal_and_orthogonal_signals_are_finite() -> None:
    estimate, reference = pair_at(math.pi / 2)
    assert float(si_sdr(reference, reference)) == LIMIT
    assert float(si_sdr(2 * reference.float(), reference.float())) == LIMIT
    assert float(si_sdr(estimate, reference)) == -LIMIT
    apart = torch.eye(4)
    assert float(si_sdr(apart[0], apart[1])) == -LIMIT


def test_silence_is_undefined() -> None:
    signal = torch.ones(10)
    for estimate, reference in ((signal, 0 * signal), (0 * signal, signal), (0 * signal,) * 2):
        assert si_sdr(estimate, reference).isnan()
    assert si_sdr(torch.stack([signal, 0 * signal]), signal).isnan().tolist() == [False, True]


def test_bfloat16_autocast_changes_nothing() -> None:
    estimate, reference = (x.float() for x in signals(0))
    with torch.autocast("cpu", torch.bfloat16):
        scores, permutation = si_sdr_permuted(estimate, reference)
    assert torch.equal(scores, si_sdr_permuted(estimate, reference)[0])
    assert torch.equal(permutation, si_sdr_permuted(estimate, reference)[1])


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_permuted_is_the_best_of_all_orders(seed: int, sources: int) -> None:
    estimate, reference = signals(seed, sources)
    scores, permutation = si_sdr_permuted(estimate, reference)
    for b in range(4):
        by_order = {
            order: si_sdr(estimate[b, list(order)], reference[b])
            for order in permutations(range(sources))
        }
        best = max(by_order, key=lambda order: float(by_order[order].mean()))
        assert tuple(permutation[b].tolist()) == best
        torch.testing.assert_close(scores[b], by_order[best], rtol=0, atol=1e-8)


def test_permutation_maximises_the_mean_of_the_decibels() -> None:
    """Not of the ratios, and not the best single source."""
    reference = torch.eye(4, dtype=torch.float64)[None, :2]
    estimate = torch.tensor([[[1, 0.9, 0, 0.1], [1, 0.1, 0.1, 0]]], dtype=torch.float64)
    scores, permutation = si_sdr_permuted(estimate, reference)
    assert permutation.tolist() == [[1, 0]]
    assert float(scores.mean()) > float(si_sdr(estimate, reference).mean())


def test_silent_estimate_leaves_the_best_place_to_the_other() -> None:
    estimate, reference = signals(1, sources=2)
    estimate = reference.flip(1) + 0.1 * estimate
    estimate[:, 0] = 0
    scores, permutation = si_sdr_permuted(estimate, reference)
    assert permutation.tolist() == [[1, 0]] * 4
    assert scores.isnan().tolist() == [[False, True]] * 4


def test_silent_estimate_goes_to_the_silent_reference_even_at_a_bad_score() -> None:
    reference = torch.zeros(1, 2, 4)
    reference[0, 0, 0] = 1
    estimate = torch.zeros(1, 2, 4)
    estimate[0, 0] = torch.tensor([0.01, 1, 1, 1])  # some -45 dB against reference 0
    for order in ([0, 1], [1, 0]):
        scores, permutation = si_sdr_permuted(estimate[:, order], reference)
        assert permutation.tolist() == [order]
        assert scores.isnan().tolist() == [[False, True]]


def test_all_silent_keeps_the_order_and_scores_nothing() -> None:
    scores, permutation = si_sdr_permuted(torch.zeros(2, 3, 10), torch.zeros(2, 3, 10))
    assert scores.isnan().all()
    assert permutation.tolist() == [[0, 1, 2]] * 2
