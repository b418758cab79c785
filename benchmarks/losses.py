"""Losses: forward and backward, of 25 segments of 400 frames."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from autoclip_sep.losses.deep_clustering import deep_clustering_loss
from autoclip_sep.losses.mask_inference import mask_inference_loss
from autoclip_sep.losses.si_sdr import si_sdr_loss
from autoclip_sep.losses.whitened_kmeans import whitened_kmeans_loss
from benchmarks.floor import Floor
from benchmarks.harness import Row, Settings, Work, installed, rows

BINS, SIZE, SOURCES = 129, 20, 2
WEIGHT = 1e6  # nussl adds 1 to the diagonal of both matrices: so that it doesn't matter


@rows()
def embeddings(at: Settings) -> Iterator[Row]:
    """Deep clustering and whitened k-means."""
    torch.manual_seed(0)
    batch, frames = at.of((25, 400), (2, 20))
    points = frames * BINS
    make = partial(torch.rand, device=at.device)
    embedding = functional.normalize(make(batch, points, SIZE), dim=-1)
    index = torch.randint(SOURCES, (batch, points), device=at.device)
    assignment = functional.one_hot(index, SOURCES).float()
    weight = make(batch, points)
    weight /= weight.sum(dim=1, keepdim=True)
    columns = SIZE + SOURCES
    floor = Floor(  # Z^T W Z and W Z (G + G^T); both read Z and W, the second writes a gradient
        operations=2 * batch * points * columns * (columns + SIZE),
        bytes=4 * batch * points * (2 * (columns + 1) + SIZE),
    )
    losses: tuple[tuple[str, str, Any, Any, float], ...] = (
        ("deep clustering", "DeepClusteringLoss", deep_clustering_loss, plain_clustering, 1),
        ("whitened k-means", "WhitenedKMeansLoss", whitened_kmeans_loss, plain_whitened, WEIGHT),
    )
    for name, theirs, own, plain, factor in losses:
        given = (assignment, factor * weight)

        def nussl(package: Any, name: str = theirs, factor: float = factor) -> Work:
            loss = getattr(package.ml.train.loss, name)()
            roots = (factor * weight).sqrt()

            def forward(embedding: Tensor, *_: Tensor) -> Tensor:
                found: Tensor = loss(embedding, assignment, roots)
                # Its whitened k-means is D + S - 2 tr(...), ours as in the paper D - tr(...).
                return found if factor == 1 else (found + SIZE - SOURCES) / 2

            return partial(backward, forward, embedding)

        yield Row(
            f"{name}, forward + backward, {batch} × {frames} frames",
            {
                "nussl": installed("nussl", nussl),
                "plain PyTorch": partial(backward, plain, embedding, *given),
                "ours": partial(backward, own, embedding, *given),
            },
            outcome=partial(tangential, embedding),
            tolerance=2e-3,  # nussl's and the plain one's matrices are float32
            floor=floor,
        )


@rows()
def mask_inference(at: Settings) -> Iterator[Row]:
    """Mask inference in the better order of the sources."""
    torch.manual_seed(0)
    batch, frames = at.of((25, 400), (2, 20))
    shape = (batch, SOURCES, BINS, frames)
    sources = torch.randn(shape, dtype=torch.complex64, device=at.device)
    mask, mixture = torch.rand(shape, device=at.device), sources.sum(dim=1)
    given = (mask, mixture, sources)
    numbers = batch * SOURCES * BINS * frames
    yield Row(
        f"mask inference, forward + backward, {batch} × {frames} frames",
        {
            "plain PyTorch": partial(backward, plain_masks, *given),
            "ours": partial(backward, mask_inference_loss, *given),
        },
        floor=Floor(bytes=4 * numbers * (1 + 1 + 2 + 1)),  # mask, its gradient, sources, mixture
    )


@rows()
def waveforms(at: Settings) -> Iterator[Row]:
    """SI-SDR in the better order of the sources."""
    torch.manual_seed(0)
    batch, length = at.of((25, 25_536), (2, 2000))
    reference = torch.randn(batch, SOURCES, length, device=at.device)
    reference -= reference.mean(dim=-1, keepdim=True)  # torchmetrics and asteroid remove it
    estimate = reference.flip(1) + 0.3 * torch.randn_like(reference)
    estimate -= estimate.mean(dim=-1, keepdim=True)

    def torchmetrics(package: Any) -> Work:
        audio = package.functional.audio
        score = audio.scale_invariant_signal_distortion_ratio

        def loss(estimate: Tensor, reference: Tensor) -> Tensor:
            best: Tensor = audio.permutation_invariant_training(estimate, reference, score)[0]
            return -best

        return partial(backward, loss, estimate, reference)

    def fast_bss_eval(package: Any) -> Work:
        def loss(estimate: Tensor, reference: Tensor) -> Tensor:
            found: Tensor = package.si_sdr_pit_loss(estimate, reference, clamp_db=100)
            return found.mean(dim=-1)

        return partial(backward, loss, estimate, reference)

    def asteroid(package: Any) -> Work:
        pit = package.losses.PITLossWrapper(package.losses.pairwise_neg_sisdr, pit_from="pw_mtx")
        return partial(backward, pit, estimate, reference)

    yield Row(
        f"negative SI-SDR, forward + backward, {batch} × {SOURCES} × {length / 8000:.1f} s",
        {
            "torchmetrics": installed("torchmetrics", torchmetrics),
            "fast_bss_eval": installed("fast_bss_eval", fast_bss_eval),
            "asteroid": installed("asteroid", asteroid),
            "plain PyTorch": partial(backward, plain_si_sdr, estimate, reference),
            "ours": partial(backward, si_sdr_loss, estimate, reference),
        },
        tolerance=1e-3,
        floor=Floor(bytes=4 * 3 * estimate.numel()),
    )


def backward(
    loss: Callable[..., Tensor], estimate: Tensor, *others: Tensor
) -> tuple[Tensor, Tensor]:
    """The mean loss and its gradient."""
    estimate = estimate.detach().requires_grad_()
    mean = loss(estimate, *others).mean()
    (gradient,) = torch.autograd.grad(mean, estimate)
    return mean, gradient


def tangential(embedding: Tensor, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Loss and gradient without its part along each vector: nussl's loss normalises once more."""
    mean, gradient = found
    return mean, gradient - (gradient * embedding).sum(dim=-1, keepdim=True) * embedding


def plain_clustering(embedding: Tensor, assignment: Tensor, weight: Tensor) -> Tensor:
    """Eq. (5) by small matrices, as one would write it."""
    v, y = (weight.sqrt().unsqueeze(-1) * one for one in (embedding, assignment))
    vv, vy, yy = v.mT @ v, v.mT @ y, y.mT @ y
    squares = [one.square().sum(dim=(1, 2)) for one in (vv, vy, yy)]
    return squares[0] - 2 * squares[1] + squares[2]


def plain_whitened(embedding: Tensor, assignment: Tensor, weight: Tensor) -> Tensor:
    """Eq. (6) by solving two small systems."""
    v, y = (weight.sqrt().unsqueeze(-1) * one for one in (embedding, assignment))
    vv, vy, yy = (one.double() for one in (v.mT @ v, v.mT @ y, y.mT @ y))
    left = torch.cholesky_solve(vy, torch.linalg.cholesky(vv))
    right = torch.cholesky_solve(vy.mT, torch.linalg.cholesky(yy))
    return embedding.shape[-1] - (left * right.mT).sum(dim=(1, 2))


def plain_masks(mask: Tensor, mixture: Tensor, sources: Tensor) -> Tensor:
    """Eq. (4) in every order of the sources, of which the least counts."""
    magnitude = mixture.abs().unsqueeze(1)
    angle = mixture.angle().unsqueeze(1) - sources.angle()
    target = (sources.abs() * angle.cos()).clamp_min(0).minimum(magnitude)
    losses = [
        (mask * magnitude - target[:, order]).abs().mean(dim=(1, 2, 3))
        for order in permutations(range(mask.shape[1]))
    ]
    return torch.stack(losses).min(dim=0).values


def plain_si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """-10 log10(|a s|^2 / |a s - s_hat|^2) in every order of the sources, averaged over them."""
    losses = []
    for order in permutations(range(estimate.shape[1])):
        s = reference[:, order]
        scaled = (estimate * s).sum(-1, keepdim=True) / s.square().sum(-1, keepdim=True) * s
        ratio = scaled.square().sum(-1) / (scaled - estimate).square().sum(-1)
        losses.append(-10 * ratio.log10().mean(dim=1))
    return torch.stack(losses).min(dim=0).values
