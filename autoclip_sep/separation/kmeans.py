"""Embeddings to masks by k-means.

Source: Hershey et al., "Deep clustering" (2016), section 2. As there the centres are found from
the points within 40 dB of the loudest, with equal weights: quieter points had next to no weight in
training, so their embeddings carry little information. Every point is then assigned.
Seeding: Arthur and Vassilvitskii, "k-means++" (2007).
Soft masks: the responsibilities of soft k-means, Isik et al., "Single-Channel Multi-Speaker
Separation using Deep Clustering" (2016): exp(-alpha ||v - mu_s||^2) / sum_r exp(-alpha ||v -
mu_r||^2). Difference: the centres are those of k-means, whose assignments are binary.
"""

import torch
from torch import Tensor

from autoclip_sep.masks import frame_major, from_frame_major, one_hot_of_largest
from autoclip_sep.precision import full_precision

RANGE_DB = 40.0
RESTARTS = 4
MOST_ITERATIONS = 100
ALPHA = 5.0  # of soft masks; 2 to 5 are 0.3 dB apart on the demo corpus' validation set


@full_precision
def cluster(
    embedding: Tensor, mixture_stft: Tensor, sources: int, seed: int = 0, soft: bool = False
) -> Tensor:
    """Masks (B, S, F, N) that sum to 1 over S, in no particular order of the sources.

    embedding: (B, K, D). mixture_stft: (B, F, N) complex; its magnitude selects the loud points.
    soft: masks are responsibilities in (0, 1), not binary. seed: the only source of randomness; an
    example's masks don't depend on its batch. They are NaN where its embedding isn't finite.
    """
    magnitude = frame_major(mixture_stft.abs())
    loudest = magnitude.amax(dim=1, keepdim=True)
    loud = (magnitude >= loudest * 10 ** (-RANGE_DB / 20)).to(embedding.dtype)
    member, centres = kmeans(embedding, loud, sources, seed)
    if soft:
        share = (-ALPHA * _distance(embedding, centres[:, None])[:, 0]).softmax(dim=1)
    else:
        share = member.to(embedding.dtype)
    bad = ~embedding.isfinite().flatten(1).all(dim=1)
    share = share.masked_fill(bad[:, None, None], torch.nan)
    return from_frame_major(share.transpose(1, 2), mixture_stft.shape[1])


@torch.no_grad()
def kmeans(points: Tensor, weight: Tensor, clusters: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The cluster of each point, one-hot bool (B, S, K), and the centres (B, S, D).

    points: (B, K, D). weight: (B, K); points of weight 0 move no centre. The best of several
    restarts. Where there are fewer distinct points than clusters, some clusters are empty.
    """
    centres = _plus_plus(points, weight, clusters, seed)
    member = _nearest(points, centres)
    for _ in range(MOST_ITERATIONS):
        centres = _means(points, weight, member, centres)
        moved = _nearest(points, centres)
        if torch.equal(moved, member):
            break
        member = moved
    spread = (_distance(points, centres).amin(dim=2) * weight[:, None]).sum(dim=-1)
    best = spread.argmin(dim=1)  # of the restarts
    rows = torch.arange(len(points), device=points.device)
    return member[rows, best], centres[rows, best]


def _plus_plus(points: Tensor, weight: Tensor, clusters: int, seed: int) -> Tensor:
    """Starting centres (B, R, S, D), R restarts.

    Each is drawn from the points in proportion to its squared distance from the centres before.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(points), device=points.device)[:, None]
    centres = points.new_empty(len(points), RESTARTS, 0, points.shape[-1])
    chance = weight.double()[:, None].expand(-1, RESTARTS, -1)
    for _ in range(clusters):
        drawn = torch.rand(RESTARTS, 1, generator=generator, dtype=torch.float64, device="cpu")
        none = chance.sum(dim=-1, keepdim=True) == 0  # every point is a centre: any will do
        chance = torch.where(none, weight.double()[:, None], chance)
        cumulated = chance.cumsum(dim=-1)
        level = drawn.to(points.device) * cumulated[..., -1:]
        index = torch.searchsorted(cumulated, level, right=True).squeeze(-1)
        chosen = points[rows, index.clamp_max(points.shape[1] - 1)]
        centres = torch.cat([centres, chosen.unsqueeze(2)], dim=2)
        chance = weight.double()[:, None] * _distance(points, centres).amin(dim=2)
    return centres


def _closeness(points: Tensor, centres: Tensor) -> Tensor:
    """(B, R, S, K): <x, c> - ||c||^2 / 2, which falls as the squared distance grows."""
    product = centres.flatten(1, 2) @ points.transpose(1, 2)
    return product.unflatten(1, centres.shape[1:3]) - centres.square().sum(-1, keepdim=True) / 2


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each point, one-hot bool (B, R, S, K)."""
    return one_hot_of_largest(_closeness(points, centres), dim=2)


def _distance(points: Tensor, centres: Tensor) -> Tensor:
    """Squared distances (B, R, S, K) of points (B, K, D) from centres (B, R, S, D)."""
    lengths = points.square().sum(dim=-1)[:, None, None]
    return (lengths - 2 * _closeness(points, centres)).clamp_min(0.0)


def _means(points: Tensor, weight: Tensor, member: Tensor, centres: Tensor) -> Tensor:
    """New centres (B, R, S, D); one without points stays where it was."""
    counts = member * weight[:, None, None]
    total = counts.sum(dim=-1, keepdim=True)
    mean = (counts.flatten(1, 2) @ points).unflatten(1, centres.shape[1:3])
    return torch.where(total > 0, mean / total.clamp_min(1e-30), centres)
