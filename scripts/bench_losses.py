"""Losses and metrics against nussl's, in one process: ``python scripts/bench_losses.py``.

Each pair is timed in turn, A B A B, and what counts is the ratio: this machine's speed cancels.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autoclip_sep.cli import arguments, command
from autoclip_sep.losses.deep_clustering import deep_clustering_loss
from autoclip_sep.losses.whitened_kmeans import whitened_kmeans_loss
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.optional import import_nussl

ROUNDS = 5
Work = Callable[[], object]


def main() -> None:
    """The command."""
    command.script("bench_losses", run, __doc__)


def run(given: list[str]) -> None:
    """Print a line for each pair."""
    arguments.read(given, {})
    torch.manual_seed(0)
    torch.set_num_threads(2)
    nussl = import_nussl()
    print(f"{'job':44} {'nussl':>9} {'ours':>9}  ratio")
    batch, frames, bins, size, sources = 25, 400, 129, 20, 2
    embedding = torch.nn.functional.normalize(torch.rand(batch, frames * bins, size), dim=-1)
    index = torch.randint(sources, (batch, frames * bins))
    assignment = torch.nn.functional.one_hot(index, sources).float()
    weight = torch.rand(batch, frames * bins)
    weight /= weight.sum(dim=1, keepdim=True)
    for name, ours, theirs in (
        ("deep clustering", deep_clustering_loss, nussl.ml.train.loss.DeepClusteringLoss()),
        ("whitened k-means", whitened_kmeans_loss, nussl.ml.train.loss.WhitenedKMeansLoss()),
    ):
        compare(
            f"{name}, forward + backward, 25 x 400 frames",
            partial(backward, theirs, embedding, assignment, weight),
            partial(backward, ours, embedding, assignment, weight),
        )
    compare("SI-SDR of 2 x 5 s at 8 kHz, permutations", *si_sdr_pair(nussl))


def backward(loss: Callable[..., Tensor], embedding: Tensor, *others: Tensor) -> None:
    """One evaluation with its gradient."""
    loss(embedding.requires_grad_(), *others).sum().backward()


def si_sdr_pair(nussl: object) -> tuple[Work, Work]:
    """nussl's evaluation of one mixture, and ours."""
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((2, 40_000))
    estimate = reference + 0.1 * rng.standard_normal((2, 40_000))
    make = nussl.AudioSignal  # type: ignore[attr-defined]
    signals = [
        [make(audio_data_array=row[None], sample_rate=8000) for row in rows]
        for rows in (reference, estimate)
    ]
    tensors = [torch.from_numpy(rows[None]) for rows in (estimate, reference)]

    def theirs() -> object:
        evaluator = nussl.evaluation.BSSEvalScale(  # type: ignore[attr-defined]
            *signals, compute_permutation=True
        )
        return evaluator.evaluate()

    return theirs, lambda: si_sdr_permuted(*tensors)


def compare(name: str, theirs: Work, ours: Work) -> None:
    """Time both in turn and print the medians and the median of the ratios."""
    times = [(seconds(theirs), seconds(ours)) for _ in range(ROUNDS + 1)][1:]
    ratio = statistics.median(own / other for other, own in times)
    other, own = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    print(f"{name:44} {other:6.1f} ms {own:6.1f} ms  {ratio:.2f}")


def seconds(work: Work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
