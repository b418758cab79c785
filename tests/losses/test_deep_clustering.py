"""Eq. (5) against explicit K x K affinities, and embeddings whose loss is known."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.losses import _gram
from autoclip_sep.losses.deep_clustering import deep_clustering_loss
from tests.losses.test_embedding_losses import clustered


def printed_loss(embedding: torch.Tensor, assignment: torch.Tensor, weight: torch.Tensor) -> list:
    result = []
    for v, y, w in zip(embedding, assignment, weight, strict=True):
        root = torch.diag(w.sqrt())
        affinity = root @ (v @ v.T - y @ y.T) @ root
        result.append(float(torch.linalg.matrix_norm(affinity) ** 2))
    return result


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_equals_the_printed_equation(dtype: torch.dtype, rtol: float) -> None:
    loss = deep_clustering_loss(*(t.to(dtype) for t in clustered(sources=3)))
    assert loss.dtype == dtype
    assert loss.tolist() == pytest.approx(printed_loss(*clustered(sources=3)), rel=rtol)


def test_slices_of_the_points_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, assignment, weight = clustered(sources=3)
    embedding.requires_grad_()
    whole = deep_clustering_loss(embedding, assignment, weight)
    (gradient,) = torch.autograd.grad(whole.sum(), embedding)
    # 40 points in two examples: five slices of 7, one of 5.
    monkeypatch.setitem(_gram.POINTS_AT_ONCE, "cpu", 2 * 7)
    sliced = deep_clustering_loss(embedding, assignment, weight)
    torch.testing.assert_close(sliced, whole)
    torch.testing.assert_close(torch.autograd.grad(sliced.sum(), embedding)[0], gradient)


def test_perfect_embeddings_score_zero_and_collapsed_ones_the_share_of_wrong_pairs() -> None:
    _, assignment, weight = clustered(sources=3)
    orthogonal = functional.pad(assignment, (0, 2))
    assert deep_clustering_loss(orthogonal, assignment, weight).abs().max() < 1e-12
    collapsed = torch.full((2, 40, 4), 0.5, dtype=torch.float64)
    shares = (weight.unsqueeze(-1) * assignment).sum(dim=1)  # all affinities 1: ones too many
    expected = 1 - shares.square().sum(dim=-1)
    torch.testing.assert_close(deep_clustering_loss(collapsed, assignment, weight), expected)


def test_lies_between_zero_and_one_and_reaches_one() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        embedding, assignment, weight = clustered(sources=3)
        embedding = torch.randn(embedding.shape, dtype=torch.float64, generator=generator)
        loss = deep_clustering_loss(functional.normalize(embedding, dim=-1), assignment, weight)
        assert loss.min() >= 0
        assert loss.max() <= 1
    one_source = torch.ones(1, 30, 1)
    spread = torch.eye(30).unsqueeze(0)  # all affinities should be 1, but only k with k is
    loss = deep_clustering_loss(spread, one_source, torch.full((1, 30), 1 / 30))
    assert float(loss) == pytest.approx(1 - 1 / 30)


def test_derivative_of_the_weight_is_refused() -> None:
    embedding, assignment, weight = clustered(sources=3)
    with pytest.raises(ValueError, match="weight"):
        deep_clustering_loss(embedding, assignment, weight.requires_grad_())


def test_million_points_need_no_affinities() -> None:
    """10^6 x 10^6 affinities would take 4 TB."""
    points = 1_000_000
    assignment = torch.zeros(1, points, 2)
    assignment[:, ::2, 0] = 1
    assignment[:, 1::2, 1] = 1
    loss = deep_clustering_loss(assignment, assignment.roll(1, 1), torch.full((1, points), 1e-6))
    assert float(loss) == pytest.approx(0, abs=1e-6)
