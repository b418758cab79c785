"""Metrics, and separation with scores, beside the packages that compute the same."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.metrics.sdr import sdr
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.parallel import cores
from benchmarks.floor import Floor
from benchmarks.harness import Row, Settings, Work, installed, rows
from benchmarks.training import noise, operations, separator

LENGTH, RATE, SOURCES = 40_000, 8000, 2  # 5 s
MANY = 64


@rows()
def si_sdr(at: Settings) -> Iterator[Row]:
    """SI-SDR in the better order, of one mixture and of many at a time."""
    length, many = at.of((LENGTH, MANY), (2000, 3))
    for number in (1, many):
        estimate, reference = (one.to(at.device) for one in speech(number, length))
        pair = (estimate, reference)
        yield Row(
            f"SI-SDR in the better order, {SOURCES} × {length / RATE:.1f} s, "
            + ("one mixture" if number == 1 else f"{number} mixtures"),
            {
                "nussl `BSSEvalScale`": installed("nussl", partial(nussl_scores, *pair)),
                "torchmetrics": installed("torchmetrics", partial(torchmetrics_scores, *pair)),
                "fast_bss_eval": installed("fast_bss_eval", partial(fast_scores, *pair)),
                "asteroid": installed("asteroid", partial(asteroid_scores, *pair)),
                "ours": partial(own_scores, *pair),
            },
            tolerance=1e-4,
            items=number,
            of="mixtures",
            floor=Floor(bytes=8 * 2 * estimate.numel()),
        )


@rows("cpu")
def bss_eval_v3(at: Settings) -> Iterator[Row]:
    """SDR with filters of 512 taps, in the right order."""
    length = at.of(LENGTH, 4000)
    estimate, reference = (one[0] for one in speech(1, length))
    arrays = [one.numpy() for one in (reference, estimate)]

    def mir_eval(package: Any) -> Work:
        score = package.bss_eval_sources
        return lambda: score(*arrays, compute_permutation=False)[0]

    def torchmetrics(package: Any) -> Work:
        score = package.functional.audio.signal_distortion_ratio
        return lambda: score(estimate, reference)

    yield Row(
        f"BSS Eval v3, {SOURCES} × {length / RATE:.1f} s",
        {
            "mir_eval": installed("mir_eval.separation", mir_eval),
            "torchmetrics": installed("torchmetrics", torchmetrics),
            "ours, by fast_bss_eval": lambda: [
                sdr(one, other) for one, other in zip(estimate, reference, strict=True)
            ],
        },
        outcome=lambda found: np.asarray(found, dtype=np.float64),
    )


@rows("cpu")
def bss_eval_v4(at: Settings) -> Iterator[Row]:
    """All four scores of music, on two threads where there are any."""
    seconds, rate, sources, channels = at.of((30, 44_100, 4, 2), (2, 4000, 2, 1))
    generator = torch.Generator().manual_seed(0)
    reference = 0.1 * torch.randn(sources, channels, seconds * rate, generator=generator)
    estimate = reference + 0.2 * reference.roll(1, dims=0) + 0.3 * reference.roll(3, dims=-1)
    pair = [signal.transpose(1, 2).double().numpy() for signal in (reference, estimate)]
    yield Row(
        f"BSS Eval v4, {seconds} s, {sources} sources, {channels} channels, {rate / 1000:.1f} kHz",
        {
            "museval": installed(
                "museval", lambda package: partial(package.evaluate, *pair, win=rate, hop=rate)
            ),
            "ours": lambda: list(bss_eval(estimate, reference, rate)),
        },
        threads=at.of(min(2, cores()), 1),
        least=1,  # museval takes half a minute
    )


@rows()
def separation(at: Settings) -> Iterator[Row]:
    """Separate mixtures by the 2 × 300 network and score them by SI-SDR."""
    hidden, number, frames = at.of((300, 8, 626), (8, 2, 20))
    torch.manual_seed(0)
    network = separator("masks", hidden).to(at.device).eval()
    batch = noise(number, frames, torch.device("cpu"))
    references = [one[0] for one in centred(batch.sources[:, :, 0]).double().split(1)]
    system = Separation(network, network.stft, SOURCES, at.device)

    def ours() -> Tensor:
        waveforms = centred(system.whole(batch)[:, :, 0]).double()
        return si_sdr_permuted(waveforms, torch.stack(references))[0]

    def one_by_one() -> Tensor:
        waveforms = [system.whole(batch.item(b))[:, :, 0] for b in range(number)]
        estimates = centred(torch.cat(waveforms)).double()
        pairs = zip(estimates.split(1), references, strict=True)
        return torch.cat([si_sdr_permuted(one, other[None])[0] for one, other in pairs])

    length = batch.mixture.shape[-1] / RATE
    yield Row(
        f"separate and score, 2 × {hidden}, mixtures of {length:.1f} s",
        {
            "nussl": installed("nussl", lambda _: nussl_separation(network, batch, references)),
            "ours, one at a time": one_by_one,
            f"ours, {number} at a time": ours,
        },
        tolerance=1e-2,  # decibels of an untrained network, and nussl's STFT pads otherwise
        items=number,
        of="mixtures",
        floor=Floor(operations=operations(network, number * frames)),
    )


def speech(number: int, length: int) -> tuple[Tensor, Tensor]:
    """Estimates and references (B, S, T) of zero mean, in float64, in the other order."""
    torch.manual_seed(0)
    reference = centred(torch.randn(number, SOURCES, length, dtype=torch.float64))
    return centred(reference + 0.1 * torch.randn_like(reference)), reference


def centred(signals: Tensor) -> Tensor:
    """Without the mean, which nussl and asteroid remove and the definition doesn't."""
    return signals - signals.mean(dim=-1, keepdim=True)


def nussl_signals(package: Any, signals: Tensor) -> list[Any]:
    """One mono AudioSignal for each of (S, T)."""
    rows = signals.double().cpu().numpy()
    return [package.AudioSignal(audio_data_array=row[None], sample_rate=RATE) for row in rows]


def nussl_score(package: Any, references: list[Any], estimates: list[Any]) -> list[float]:
    """SI-SDR of one mixture's sources."""
    evaluator = package.evaluation.BSSEvalScale(references, estimates, compute_permutation=True)
    report = evaluator.evaluate()
    return [report[f"source_{s}"]["SI-SDR"][0] for s in range(len(references))]


def nussl_scores(estimate: Tensor, reference: Tensor, package: Any) -> Work:
    """Mixture by mixture, as nussl evaluates."""
    pairs = [
        (nussl_signals(package, one), nussl_signals(package, other))
        for one, other in zip(reference, estimate, strict=True)
    ]
    return lambda: torch.tensor([nussl_score(package, *pair) for pair in pairs])


def own_scores(estimate: Tensor, reference: Tensor) -> Tensor:
    """All mixtures at once."""
    return si_sdr_permuted(estimate, reference)[0]


def torchmetrics_scores(estimate: Tensor, reference: Tensor, package: Any) -> Work:
    """By permutation_invariant_training, which gives the mean over the sources, and reordered."""
    audio = package.functional.audio
    score = audio.scale_invariant_signal_distortion_ratio

    def call() -> Tensor:
        _, order = audio.permutation_invariant_training(estimate, reference, score)
        found: Tensor = score(audio.pit_permutate(estimate, order), reference)
        return found

    return call


def fast_scores(estimate: Tensor, reference: Tensor, package: Any) -> Work:
    """fast_bss_eval's, which returns them in the references' order."""
    return lambda: package.si_sdr(reference, estimate, clamp_db=100)


def asteroid_scores(estimate: Tensor, reference: Tensor, package: Any) -> Work:
    """asteroid has the negative of all pairs; the best order by hand."""
    pairwise: Callable[[Tensor, Tensor], Tensor] = package.losses.pairwise_neg_sisdr

    def call() -> Tensor:
        scores = -pairwise(estimate, reference)  # (B, estimates, references)
        orders = [
            torch.stack([scores[:, e, r] for r, e in enumerate(order)], dim=1)
            for order in permutations(range(SOURCES))
        ]
        every = torch.stack(orders)
        return every[every.mean(dim=-1).argmax(dim=0), torch.arange(len(scores))]

    return call


def nussl_separation(network: Any, batch: Any, references: list[Tensor]) -> Work:
    """DeepMaskEstimation and BSSEvalScale, a mixture at a time as nussl has it."""
    from autoclip_sep.interop import nussl_export
    from autoclip_sep.interop.nussl import nussl as package

    device = next(network.parameters()).device
    content = nussl_export.checkpoint(network, RATE)
    signals = [nussl_signals(package, one)[0] for one in batch.mixture]
    targets = [nussl_signals(package, one) for one in references]
    with nussl_export.loadable():
        estimation = package.separation.deep.DeepMaskEstimation(
            signals[0], io.BytesIO(content), device=device.type
        )

    def call() -> Tensor:
        scores = []
        for mixture, sources in zip(signals, targets, strict=True):
            scores.append(nussl_score(package, sources, estimation(audio_signal=mixture)))
        return torch.tensor(scores)

    return call
