"""The assignment of estimates to references, one permutation for each utterance."""

from functools import cache
from itertools import permutations

import torch
from torch import Tensor

from autoclip_sep.errors import InputError

MOST_SOURCES = 6


def best_permutation(cost: Tensor) -> tuple[Tensor, Tensor]:
    """The assignment of estimates to references with the lowest mean cost.

    cost: (B, S, S), estimate i against reference j.

    Returns the mean cost of the best assignment (B,), which carries gradients, and the assignment
    (B, S): at j the estimate that reference j gets. All S! orders are tried; among equals the
    one nearest to the identity in lexicographic order wins.

    Raises InputError for more than six sources (720 orders).
    """
    sources = cost.shape[-1]
    if sources > MOST_SOURCES:
        raise InputError(
            f"{sources} sources: at most {MOST_SOURCES} can be permuted; "
            "set permute=False where the sources have fixed names"
        )
    orders = _orders(sources, cost.device)
    references = torch.arange(sources, device=cost.device)
    with torch.no_grad():
        best = cost[:, orders, references].sum(dim=-1).argmin(dim=1)
    permutation = orders[best]
    return cost.gather(1, permutation.unsqueeze(1)).squeeze(1).mean(dim=-1), permutation


def reorder(signals: Tensor, permutation: Tensor) -> Tensor:
    """(B, S, ...) in the order of a permutation (B, S): at j signals[:, permutation[:, j]]."""
    examples = torch.arange(len(signals), device=signals.device)
    return signals[examples.unsqueeze(1), permutation]


def inverse_permutation(permutation: Tensor) -> Tensor:
    """(B, S): at i the reference that estimate i is assigned to."""
    return permutation.argsort(dim=1)


@cache
def _orders(sources: int, device: torch.device) -> Tensor:
    """(S!, S), cached on the device: a copy in each step would synchronise with the host."""
    with torch.inference_mode(False):  # the cached tensor must be usable in training, too
        return torch.tensor(list(permutations(range(sources))), device=device)
