"""A batch of mixtures and a network's estimate of their sources.

Axis legend of every docstring:

====  =========================================================
B     batch (examples)
S     sources
C     channels
T     samples
F     frequency bins
N     frames
D     embedding size
K     time-frequency points, K = N * F, frame-major: k = n * F + f
====  =========================================================
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from autoclip_sep.errors import InputError


@dataclass(frozen=True)
class Batch:
    """Mixtures and the sources they are made of.

    mixture: (B, C, T) float waveforms, zero-padded at the end.
    sources: (B, S, C, T) targets in the corpus' own order.
    lengths: (B,) int64, samples of each example before padding.
    items: the B examples' names in their corpus.
    """

    mixture: Tensor
    sources: Tensor
    lengths: Tensor
    items: tuple[str, ...]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device; the copy from pinned memory is asynchronous."""
        return Batch(
            self.mixture.to(device, non_blocking=True),
            self.sources.to(device, non_blocking=True),
            self.lengths.to(device, non_blocking=True),
            self.items,
        )

    def item(self, b: int) -> "Batch":
        """Example b alone (B = 1), in memory of its own."""
        if len(self.items) == 1:
            return self
        one = slice(b, b + 1)
        return Batch(
            self.mixture[one].clone(),
            self.sources[one].clone(),
            self.lengths[one].clone(),
            self.items[one],
        )

    def pin_memory(self) -> "Batch":
        """The same batch in pinned memory; a DataLoader calls this by its name."""
        return Batch(
            self.mixture.pin_memory(),
            self.sources.pin_memory(),
            self.lengths.pin_memory(),
            self.items,
        )


@dataclass(frozen=True)
class Estimate:
    """A network's output for a batch; heads that the network doesn't have are None.

    mixture_stft: (B, C, F, N) complex, to which masks and embedding refer; networks with either
    give it, too.
    masks: (B, S, C, F, N) in [0, 1].
    embedding: (B, C, K, D), each point's vector of unit norm.
    waveforms: (B, S, C, T).
    """

    mixture_stft: Tensor | None = None
    masks: Tensor | None = None
    embedding: Tensor | None = None
    waveforms: Tensor | None = None

    def head(self, name: str) -> Tensor:
        """The field of that name; raises InputError where the network gives none."""
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise InputError(f"the network gives no {name}: its Estimate must have one")
        return found
