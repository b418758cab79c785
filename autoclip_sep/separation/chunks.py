"""Long mixtures in overlapping chunks, so that memory doesn't grow with their length.

The sources of each chunk may come in another order. They are reordered to match the chunk before in
the overlap, and cross-faded there.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from autoclip_sep.permutation import best_permutation, reorder

Separate = Callable[[Tensor], Tensor]


def separate_long(
    separate: Separate, mixture: Iterable[Tensor], chunk: int, overlap: int, permute: bool = True
) -> Iterator[Tensor]:
    """One waveform per source of a mixture of any length: blocks (C, n) to blocks (S, C, n).

    separate: (1, C, T) to (1, S, C, T). chunk, overlap: samples, 0 < overlap <= chunk / 2.
    permute: whether the order of the sources may differ from chunk to chunk.

    Output blocks have other lengths than input blocks. A mixture of at most one chunk is separated
    whole. Raises ValueError for an overlap that doesn't fit.
    """
    if not 0 < 2 * overlap <= chunk:
        raise ValueError(f"overlap must be from 1 to chunk / 2, not {overlap} of {chunk}")
    before: Tensor | None = None  # the end of the last chunk's sources
    for piece, last in _overlapping(mixture, chunk, overlap):
        part = separate(piece.unsqueeze(0))[0]
        if before is not None:
            fade = torch.linspace(0, 1, overlap, dtype=piece.dtype, device=piece.device)
            if permute:
                part = _like(before, part, overlap)
            part[..., :overlap] = before * (1 - fade) + part[..., :overlap] * fade
        if last:
            yield part
        else:
            before = part[..., -overlap:]
            yield part[..., :-overlap]


def _overlapping(
    blocks: Iterable[Tensor], chunk: int, overlap: int
) -> Iterator[tuple[Tensor, bool]]:
    """Chunks (C, T), T = chunk or less for the last one; and whether it is the last."""
    held: Tensor | None = None
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > chunk:
            yield held[..., :chunk], False
            held = held[..., chunk - overlap :]
    if held is not None:
        yield held, True


def _like(before: Tensor, part: Tensor, overlap: int) -> Tensor:
    """The chunk's sources (S, C, T) in the order in which they are nearest to `before`."""
    estimate = part[..., :overlap].flatten(1)
    cost = (estimate.unsqueeze(1) - before.flatten(1).unsqueeze(0)).square().sum(dim=-1)
    _, order = best_permutation(cost.unsqueeze(0))
    return reorder(part.unsqueeze(0), order)[0]
