"""A stack of bidirectional LSTM layers.

Source: the network of Seetharaman et al., "AutoClip" (2020), section 4.
Difference: single layers with nn.Dropout between them instead of nn.LSTM(dropout=p). It is the same
function, but dropout masks come from torch's generator, whose state can be saved and restored;
cuDNN has a hidden one.
"""

from torch import Tensor, nn

from autoclip_sep.errors import InputError


class BLSTM(nn.Module):
    """`layers` bidirectional LSTMs with `hidden` units per direction; dropout between layers.

    Raises InputError for fewer than one layer.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        if layers < 1:
            raise InputError(f"layers={layers}: must be at least 1")
        sizes = [inputs] + [2 * hidden] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(size, hidden, batch_first=True, bidirectional=True) for size in sizes
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, inputs) to (B, N, 2 * hidden)."""
        for i, layer in enumerate(self.layers):
            features, _ = layer(self.dropout(features) if i else features)
        return features
