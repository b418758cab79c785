"""Channels into the batch and out again: the equations know none."""

from torch import Tensor


def fold(signals: Tensor) -> Tensor:
    """(B, S, C, ...) to (B*C, S, ...)."""
    return signals.transpose(1, 2).flatten(0, 1)


def average(loss: Tensor, batch: int) -> Tensor:
    """(B*C,) to (B,): the mean over the channels of each example."""
    return loss.reshape(batch, -1).mean(dim=1)
