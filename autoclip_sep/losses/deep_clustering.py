"""Deep clustering: affinities of embeddings against affinities of ideal assignments.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (5); Hershey et al., "Deep clustering" (2016).
Difference: none in value. || A A^T - B B^T ||_F^2 = ||A^T A||^2 - 2 ||A^T B||^2 + ||B^T B||^2, with
A = W^(1/2) V and B = W^(1/2) Y, needs no K x K matrix.
"""

import torch
from torch import Tensor

from autoclip_sep.losses._gram import weighted_gram
from autoclip_sep.losses.channels import average, fold
from autoclip_sep.masks import frame_major, ideal_binary_mask, magnitude_weight
from autoclip_sep.precision import full_precision
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


@full_precision
def deep_clustering_loss(embedding: Tensor, assignment: Tensor, weight: Tensor) -> Tensor:
    """Eq. (5): || W^(1/2) (V V^T - Y Y^T) W^(1/2) ||_F^2, (B,).

    embedding V: (B, K, D). assignment Y: (B, K, S). weight, W's diagonal: (B, K), not negative.
    With embeddings of unit norm and a weight that sums to 1 it lies between 0 and 1; where the
    weight is 0 throughout (silence) it is 0 with a gradient of zeros.
    """
    vv, vy, yy = weighted_gram(embedding, assignment, weight)
    loss = _squares(vv) - 2 * _squares(vy) + _squares(yy)  # Eq. (5)
    return loss.to(embedding.dtype)


def _squares(matrix: Tensor) -> Tensor:
    return matrix.square().sum(dim=(1, 2))


class DeepClustering:
    """Trains embeddings with `deep_clustering_loss`. Head: embedding.

    weighted: W = |X| / sum |X|; otherwise every point counts the same, 1 / K.
    """

    def __init__(self, stft: STFT, weighted: bool = True) -> None:
        self.stft = stft
        self.weighted = weighted

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        embedding = estimate.head("embedding").flatten(0, 1)
        sources = fold(self.stft.transform(batch.sources))
        weight = magnitude_weight(estimate.head("mixture_stft").flatten(0, 1))
        if not self.weighted:
            weight = torch.full_like(weight, 1 / weight.shape[1])
        assignment = frame_major(ideal_binary_mask(sources))
        loss = deep_clustering_loss(embedding, assignment, weight)
        return average(loss, len(batch.mixture))
