"""Long files in overlapping chunks, so that the network's memory doesn't grow with the file.

Each chunk's sources come in an order of their own. They are given the order of the chunk before by
comparing the two in their overlap, and cross-faded there.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from autoclip_sep.permutation import best_permutation, reorder

Separate = Callable[[Tensor], Tensor]


def separate_long(
    separate: Separate, mixture: Tensor, chunk: int, overlap: int, permute: bool = True
) -> Tensor:
    """One waveform per source of a mixture of any length: (C, T) to (S, C, T).

    separate: (1, C, T) to (1, S, C, T). chunk, overlap: samples, 0 < overlap <= chunk / 2.
    permute: whether the order of the sources may differ from chunk to chunk.

    A mixture of at most one chunk goes through in one piece. Raises ValueError for an overlap that
    doesn't fit.
    """
    if not 0 < 2 * overlap <= chunk:
        raise ValueError(f"overlap must be from 1 to chunk / 2, not {overlap} of {chunk}")
    length = mixture.shape[-1]
    if length <= chunk:
        return separate(mixture.unsqueeze(0))[0]
    fade = torch.linspace(0, 1, overlap, dtype=mixture.dtype, device=mixture.device)
    whole: Tensor | None = None
    for start in range(0, length - overlap, chunk - overlap):
        part = separate(mixture[:, start : start + chunk].unsqueeze(0))[0]
        if whole is None:
            whole = part.new_zeros(*part.shape[:2], length)
            whole[..., :chunk] = part
            continue
        before = whole[..., start : start + overlap]
        if permute:
            part = _like(before, part, overlap)
        part[..., :overlap] = before * (1 - fade) + part[..., :overlap] * fade
        whole[..., start : start + part.shape[-1]] = part
    assert whole is not None
    return whole


def _like(before: Tensor, part: Tensor, overlap: int) -> Tensor:
    """The chunk's sources (S, C, T) in the order in which they sound most like `before`."""
    estimate = part[..., :overlap].flatten(1)
    cost = (estimate.unsqueeze(1) - before.flatten(1).unsqueeze(0)).square().sum(dim=-1)
    _, order = best_permutation(cost.unsqueeze(0))
    return reorder(part.unsqueeze(0), order)[0]
