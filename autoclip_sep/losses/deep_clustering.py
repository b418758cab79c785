"""Deep clustering: affinities of embeddings against affinities of ideal assignments.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (5); Hershey et al., "Deep clustering" (2016).
Difference: none in value. || A A^T - B B^T ||_F^2 = ||A^T A||^2 - 2 ||A^T B||^2 + ||B^T B||^2, with
A = W^(1/2) V and B = W^(1/2) Y, needs no K x K matrix.
"""

from torch import Tensor

from autoclip_sep.losses._gram import weighted_gram
from autoclip_sep.losses._objectives import EmbeddingObjective
from autoclip_sep.precision import full_precision


@full_precision
def deep_clustering_loss(
    embedding: Tensor, assignment: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Eq. (5): || W^(1/2) (V V^T - Y Y^T) W^(1/2) ||_F^2, (B,).

    embedding V: (B, K, D). assignment Y: (B, K, S). weight, W's diagonal: (B, K), not negative;
    None for 1 / K everywhere.
    With embeddings of unit norm and a weight that sums to 1 it lies between 0 and 1; where the
    weight is 0 throughout (silence) it is 0 with a gradient of zeros.
    """
    if weight is None:
        points = embedding.shape[1]
        weight = embedding.new_full(embedding.shape[:2], 1 / points)
    vv, vy, yy = weighted_gram(embedding, assignment, weight)
    loss = _squares(vv) - 2 * _squares(vy) + _squares(yy)  # Eq. (5)
    return loss.to(embedding.dtype)


def _squares(matrix: Tensor) -> Tensor:
    return matrix.square().sum(dim=(1, 2))


class DeepClustering(EmbeddingObjective):
    """Trains embeddings with `deep_clustering_loss`. Head: embedding.

    weighted: W = |X| / sum |X|; otherwise 1 / K for every point.
    """

    loss = staticmethod(deep_clustering_loss)
