"""Heads on the recurrent layers: a mask for each source, an embedding for each point."""

from torch import Tensor, nn

from autoclip_sep.models._unit_sigmoid import unit_sigmoid
from autoclip_sep.precision import widen


class MaskHead(nn.Module):
    """A mask in [0, 1] for each source: a linear layer and a sigmoid."""

    def __init__(self, inputs: int, bins: int, sources: int) -> None:
        super().__init__()
        self.sources = sources
        self.linear = nn.Linear(inputs, sources * bins)

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, inputs) to (B, S, F, N)."""
        logits: Tensor = widen(self.linear(features))
        return logits.sigmoid().unflatten(-1, (self.sources, -1)).permute(0, 2, 3, 1)


class EmbeddingHead(nn.Module):
    """A vector of unit norm for each time-frequency point: a linear layer and a sigmoid."""

    def __init__(self, inputs: int, bins: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.linear = nn.Linear(inputs, bins * size)

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, inputs) to (B, K, D)."""
        logits: Tensor = widen(self.linear(features))
        return unit_sigmoid(logits.unflatten(-1, (-1, self.size)).flatten(1, 2))
