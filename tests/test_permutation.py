"""The best permutation against a search written out."""

from itertools import permutations

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.permutation import best_permutation, inverse_permutation, reorder


@pytest.mark.parametrize("sources", [1, 2, 3, 4, 6])
def test_equals_a_search_through_all_orders(sources: int) -> None:
    generator = torch.Generator().manual_seed(sources)
    cost = torch.randn(5, sources, sources, dtype=torch.float64, generator=generator)
    mean, permutation = best_permutation(cost)
    for b in range(5):
        expected = min(
            sum(float(cost[b, order[j], j]) for j in range(sources)) / sources
            for order in permutations(range(sources))
        )
        assert float(mean[b]) == pytest.approx(expected, abs=1e-12)
        chosen = [float(cost[b, permutation[b, j], j]) for j in range(sources)]
        assert sum(chosen) / sources == pytest.approx(expected, abs=1e-12)


def test_at_j_stands_the_estimate_of_reference_j() -> None:
    """Estimate 2 fits reference 0, 0 fits 1, 1 fits 2: an order that is not its own inverse."""
    cost = torch.ones(1, 3, 3)
    cost[0, 2, 0] = cost[0, 0, 1] = cost[0, 1, 2] = 0
    mean, permutation = best_permutation(cost)
    assert permutation.tolist() == [[2, 0, 1]]
    assert mean.tolist() == [0]
    assert inverse_permutation(permutation).tolist() == [[1, 2, 0]]
    signals = torch.tensor([[[10.0], [11.0], [12.0]]])
    assert reorder(signals, permutation).flatten().tolist() == [12, 10, 11]
    back = reorder(reorder(signals, permutation), inverse_permutation(permutation))
    assert torch.equal(back, signals)


def test_ties_go_to_the_identity() -> None:
    assert best_permutation(torch.zeros(2, 4, 4))[1].tolist() == [[0, 1, 2, 3]] * 2


def test_gradient_reaches_the_chosen_pairs_only() -> None:
    cost = torch.tensor([[[5.0, 1.0], [2.0, 5.0]]], requires_grad=True)
    best_permutation(cost)[0].sum().backward()
    assert cost.grad is not None
    assert cost.grad.tolist() == [[[0.0, 0.5], [0.5, 0.0]]]


def test_first_use_in_inference_mode_does_not_spoil_training() -> None:
    with torch.inference_mode():
        best_permutation(torch.zeros(1, 5, 5))
    cost = torch.rand(1, 5, 5, requires_grad=True)
    best_permutation(cost)[0].sum().backward()
    assert cost.grad is not None


def test_seven_sources_are_refused() -> None:
    with pytest.raises(InputError, match="7 sources"):
        best_permutation(torch.zeros(1, 7, 7))
