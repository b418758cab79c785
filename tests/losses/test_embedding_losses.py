"""One contract over the losses of embeddings: gradients, swapped speakers, weights of zero."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from autoclip_sep.losses.deep_clustering import deep_clustering_loss
from autoclip_sep.losses.whitened_kmeans import whitened_kmeans_loss

Loss = Callable[..., torch.Tensor]
every_loss = pytest.mark.parametrize("loss", [deep_clustering_loss, whitened_kmeans_loss])


def clustered(
    points: int = 40, size: int = 5, sources: int = 2
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings (B, K, D) of unit norm, assignments (B, K, S), and weights (B, K) of sum 1."""
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(2, points, size, dtype=torch.float64, generator=generator).sigmoid()
    labels = torch.randint(sources, (2, points), generator=generator)
    weight = torch.rand(2, points, dtype=torch.float64, generator=generator)
    return (
        functional.normalize(embedding, dim=-1),
        functional.one_hot(labels, sources).double(),
        weight / weight.sum(dim=1, keepdim=True),
    )


@every_loss
@pytest.mark.parametrize("weighted", [True, False])
def test_gradient_is_that_of_the_value(loss: Loss, weighted: bool) -> None:
    embedding, assignment, weight = clustered(points=12)
    embedding.requires_grad_()
    given = weight if weighted else None
    assert torch.autograd.gradcheck(lambda v: loss(v, assignment, given), embedding)
    assert torch.autograd.gradgradcheck(lambda v: loss(v, assignment, given), embedding)


@every_loss
def test_speakers_swapped_on_alternate_points_do_not_score_as_perfect(loss: Loss) -> None:
    _, assignment, weight = clustered()
    embedding = assignment.clone()
    embedding[:, ::2] = embedding[:, ::2].flip(-1)
    assert loss(embedding, assignment, weight).min() > 0.1
    swapped = assignment.flip(-1)  # the whole utterance swapped is the same clustering
    assert loss(swapped, assignment, weight).abs().max() < 1e-10


@every_loss
def test_weight_of_zero_gives_a_gradient_of_zeros(loss: Loss) -> None:
    embedding, assignment, weight = clustered()
    embedding.requires_grad_()
    value = loss(embedding, assignment, weight * 0)
    value.sum().backward()
    assert value.tolist() == ([0, 0] if loss is deep_clustering_loss else [5, 5])
    assert embedding.grad is not None
    assert not embedding.grad.any()
