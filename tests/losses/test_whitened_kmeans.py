"""Eq. (6) against explicit inverses, and embeddings whose loss is known."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.losses.whitened_kmeans import whitened_kmeans_loss
from tests.losses.test_embedding_losses import clustered


def printed_loss(embedding: torch.Tensor, assignment: torch.Tensor) -> list[float]:
    result = []
    for v, y in zip(embedding, assignment, strict=True):
        whitened = torch.linalg.inv(v.T @ v) @ v.T @ y @ torch.linalg.inv(y.T @ y) @ y.T @ v
        result.append(v.shape[-1] - float(whitened.trace()))
    return result


@pytest.mark.parametrize("size", [5, 20])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, {"abs": 1e-8}), (torch.float32, {"rel": 1e-4})]
)
def test_equals_the_printed_equation(size: int, dtype: torch.dtype, tolerance: dict) -> None:
    embedding, assignment, _ = clustered(size=size)
    loss = whitened_kmeans_loss(embedding.to(dtype), assignment.to(dtype))
    assert loss.dtype == dtype
    assert loss.tolist() == pytest.approx(printed_loss(embedding, assignment), **tolerance)


def test_weighted_is_the_printed_equation_of_weighted_rows() -> None:
    embedding, assignment, weight = clustered()
    root = weight.sqrt().unsqueeze(-1)
    loss = whitened_kmeans_loss(embedding, assignment, weight)
    assert loss.tolist() == pytest.approx(printed_loss(root * embedding, root * assignment))
    same = whitened_kmeans_loss(embedding, assignment, 7 * weight)
    torch.testing.assert_close(same, loss)


def test_random_embeddings_score_19_and_perfect_ones_18() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (1, 20_000), generator=generator)
    assignment = functional.one_hot(labels, 2).float()
    embedding = torch.randn(1, 20_000, 20, generator=generator).sigmoid()
    random = whitened_kmeans_loss(functional.normalize(embedding, dim=-1), assignment)
    assert float(random) == pytest.approx(19.0, abs=0.01)
    of_source = functional.normalize(torch.rand(2, 20, generator=generator), dim=-1)
    perfect = of_source[labels].requires_grad_()  # V^T V has rank 2
    loss = whitened_kmeans_loss(perfect, assignment)
    loss.sum().backward()
    assert loss.item() == pytest.approx(18.0, abs=1e-5)
    assert perfect.grad is not None
    assert perfect.grad.abs().max() < 1e-5  # the minimum


def test_collapsed_embeddings_score_d_minus_one() -> None:
    """One vector for all points explains one dimension of the assignments."""
    _, assignment, _ = clustered()
    collapsed = torch.full((2, 40, 4), 0.5, dtype=torch.float64, requires_grad=True)
    loss = whitened_kmeans_loss(collapsed, assignment)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([3, 3])
    assert collapsed.grad is not None
    assert collapsed.grad.isfinite().all()


def test_linear_map_of_the_embeddings_changes_nothing() -> None:
    """Whitening: any invertible map is undone."""
    embedding, assignment, _ = clustered()
    generator = torch.Generator().manual_seed(2)
    mapping = torch.randn(5, 5, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(
        whitened_kmeans_loss(embedding @ mapping, assignment),
        whitened_kmeans_loss(embedding, assignment),
    )


def test_source_that_is_nowhere_loudest_counts_nothing() -> None:
    embedding, assignment, _ = clustered()
    three = functional.pad(assignment, (0, 1))
    torch.testing.assert_close(
        whitened_kmeans_loss(embedding, three), whitened_kmeans_loss(embedding, assignment)
    )


def test_not_a_number_stays_one() -> None:
    """A bad embedding must reach the loop's check, not come out as a plausible loss."""
    embedding, assignment, _ = clustered()
    embedding[1, 3, 2] = torch.nan
    loss = whitened_kmeans_loss(embedding, assignment)
    assert loss.isnan().tolist() == [False, True]
