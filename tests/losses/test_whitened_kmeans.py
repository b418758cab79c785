"""Eq. (6) against explicit inverses, and embeddings whose loss is known."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.losses.whitened_kmeans import whitened_kmeans_loss


def example(points: int = 40, size: int = 5, sources: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(2, points, size, dtype=torch.float64, generator=generator).sigmoid()
    labels = torch.randint(sources, (2, points), generator=generator)
    return functional.normalize(embedding, dim=-1), functional.one_hot(labels, sources).double()


def example_weight(points: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, points, dtype=torch.float64, generator=generator)


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
    embedding, assignment = example(size=size)
    loss = whitened_kmeans_loss(embedding.to(dtype), assignment.to(dtype))
    assert loss.dtype == dtype
    assert loss.tolist() == pytest.approx(printed_loss(embedding, assignment), **tolerance)


def test_weighted_is_the_printed_equation_of_weighted_rows() -> None:
    embedding, assignment = example()
    weight = example_weight()
    root = weight.sqrt().unsqueeze(-1)
    loss = whitened_kmeans_loss(embedding, assignment, weight)
    assert loss.tolist() == pytest.approx(printed_loss(root * embedding, root * assignment))
    same = whitened_kmeans_loss(embedding, assignment, weight / weight.sum())
    torch.testing.assert_close(same, loss)


def test_gradient_is_that_of_the_value() -> None:
    embedding, assignment = example(points=14)
    embedding.requires_grad_()
    for weight in (None, example_weight(14)):
        assert torch.autograd.gradcheck(
            lambda v, w=weight: whitened_kmeans_loss(v, assignment, w), embedding
        )


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
    _, assignment = example()
    collapsed = torch.full((2, 40, 4), 0.5, dtype=torch.float64, requires_grad=True)
    loss = whitened_kmeans_loss(collapsed, assignment)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([3, 3])
    assert collapsed.grad is not None
    assert collapsed.grad.isfinite().all()


def test_linear_map_of_the_embeddings_changes_nothing() -> None:
    """Whitening: any invertible map is undone."""
    embedding, assignment = example()
    generator = torch.Generator().manual_seed(2)
    mapping = torch.randn(5, 5, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(
        whitened_kmeans_loss(embedding @ mapping, assignment),
        whitened_kmeans_loss(embedding, assignment),
    )


def test_source_that_is_nowhere_loudest_counts_nothing() -> None:
    embedding, assignment = example()
    three = functional.pad(assignment, (0, 1))
    torch.testing.assert_close(
        whitened_kmeans_loss(embedding, three), whitened_kmeans_loss(embedding, assignment)
    )


def test_speakers_swapped_on_alternate_points_do_not_score_as_perfect() -> None:
    _, assignment = example()
    embedding = assignment.clone()
    embedding[:, ::2] = embedding[:, ::2].flip(-1)
    assert whitened_kmeans_loss(assignment.flip(-1), assignment).max() < 1e-10  # D - S = 0
    assert whitened_kmeans_loss(embedding, assignment).min() > 0.5


def test_weight_of_zero_gives_d_with_a_gradient_of_zeros() -> None:
    embedding, assignment = example()
    embedding.requires_grad_()
    loss = whitened_kmeans_loss(embedding, assignment, example_weight() * 0)
    loss.sum().backward()
    assert loss.tolist() == [5, 5]
    assert embedding.grad is not None
    assert not embedding.grad.any()


def test_not_a_number_stays_one() -> None:
    """A bad embedding must reach the loop's check, not come out as a plausible loss."""
    embedding, assignment = example()
    embedding[1, 3, 2] = torch.nan
    loss = whitened_kmeans_loss(embedding, assignment)
    assert loss.isnan().tolist() == [False, True]
