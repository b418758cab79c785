"""Whitened k-means: how far ideal assignments are from a linear function of the embeddings.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (6); Wang et al., "Alternative objective
functions for deep clustering" (2018).
Difference: 1e-13 of its trace is added to the diagonal of V^T V and of Y^T Y, because a perfect
embedding (one vector for each source) and a source that is nowhere loudest make them singular. The
loss then equals that with a pseudo-inverse.
"""

import torch
from torch import Tensor

from autoclip_sep.losses._gram import weighted_gram
from autoclip_sep.losses._objectives import EmbeddingObjective
from autoclip_sep.precision import full_precision

RIDGE = 1e-13


@full_precision
def whitened_kmeans_loss(
    embedding: Tensor, assignment: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Eq. (6): D - tr( (V^T V)^-1 V^T Y (Y^T Y)^-1 Y^T V ), (B,).

    embedding V: (B, K, D). assignment Y: (B, K, S).
    weight: (B, K), not negative; V and Y become W^(1/2) V and W^(1/2) Y. None is Eq. (6) as
    printed. A factor common to all weights changes nothing.
    It lies in [D - S, D]; where the weight is 0 throughout (silence) it is D with a gradient of
    zeros. The small matrices are factorised in float64, by Cholesky.
    """
    if weight is None:
        weight = embedding.new_ones(embedding.shape[:2])
    vv, vy, yy = weighted_gram(embedding, assignment, weight)
    # With V^T V = L L^T and Y^T Y = M M^T the trace is the squared norm of L^-1 V^T Y M^-T.
    left = torch.linalg.solve_triangular(_factor(vv), vy, upper=False)
    whitened = torch.linalg.solve_triangular(_factor(yy).mT, left, upper=True, left=False)
    loss = embedding.shape[-1] - whitened.square().sum(dim=(1, 2))  # Eq. (6)
    return loss.to(embedding.dtype)


def _factor(gram: Tensor) -> Tensor:
    """The lower Cholesky factor of a positive semidefinite matrix, 1 for a matrix of zeros.

    cholesky_ex doesn't synchronise with the host, and leaves failures to the caller: they become
    NaN, which the training loop skips and counts.
    """
    trace = gram.diagonal(dim1=1, dim2=2).sum(dim=-1)
    ridge = RIDGE * trace + (trace == 0)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, failure = torch.linalg.cholesky_ex(gram + ridge[:, None, None] * identity)
    return factor.masked_fill(failure[:, None, None] > 0, torch.nan)


class WhitenedKMeans(EmbeddingObjective):
    """Trains embeddings with `whitened_kmeans_loss`. Head: embedding.

    weighted: W = |X| / sum |X|; otherwise Eq. (6) as printed.
    """

    loss = staticmethod(whitened_kmeans_loss)
