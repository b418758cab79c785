"""Gradient accumulation: the gradient of a whole batch, one micro-batch after the other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from autoclip_sep import random_state
from autoclip_sep.clipping import Clipper
from autoclip_sep.dynamics.backward import Buffers
from autoclip_sep.types import Batch

Losses = Callable[[Batch], Tensor]


def split(batch: Batch, count: int) -> list[Batch]:
    """The batch in `count` equal parts, which share its memory; as it is where that is one."""
    if count == 1:
        return [batch]
    size = len(batch.items) // count
    return [
        Batch(*tensors, batch.items[number * size : (number + 1) * size])
        for number, tensors in enumerate(
            zip(
                batch.mixture.split(size), batch.sources.split(size), batch.lengths.split(size),
                strict=True,
            )
        )
    ]  # fmt: skip


def backward(
    losses_of: Losses,
    parts: Sequence[Batch],
    clipper: Clipper,
    scaler: GradScaler,
    model: nn.Module,
) -> Tensor:
    """Adds the gradient of the mean of all parts' clipped losses, scaled, to ``.grad``.

    losses_of: of each example of a part, (B,), with a graph; one part's at a time is in memory.

    Returns the losses of the whole batch, (B,), before any clipping.
    """
    if len(parts) == 1:
        losses = losses_of(parts[0])
        scaler.scale(clipper.clip_loss(losses).mean()).backward()
        return losses.detach()
    weights = _weights(losses_of, parts, clipper, model)
    found = []
    for part, own in zip(parts, weights, strict=True):
        losses = losses_of(part)
        scaler.scale((losses * own).sum()).backward()
        found.append(losses.detach())
    return torch.cat(found)


def _weights(
    losses_of: Losses, parts: Sequence[Batch], clipper: Clipper, model: nn.Module
) -> tuple[Tensor, ...]:
    """How much each loss of each part counts in the gradient of the mean clipped loss.

    A clipper of losses takes in all of a batch at once, so all of them must be known before the
    first backward pass: they are computed once more, without a graph, at the same random state.
    """
    sizes = [len(part.items) for part in parts]
    losses = torch.zeros(sum(sizes), device=parts[0].mixture.device)
    if clipper.clips_loss:
        buffers, random = Buffers(model), random_state.capture()
        with torch.no_grad():
            losses = torch.cat([losses_of(part) for part in parts])
        buffers.put_back()
        random_state.restore(random)
    losses.requires_grad_()
    (weights,) = torch.autograd.grad(clipper.clip_loss(losses).mean(), losses)
    return weights.split(sizes)
