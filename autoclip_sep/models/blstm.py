"""A stack of LSTM layers, bidirectional or causal.

Source: the network of Seetharaman et al., "AutoClip" (2020), section 4.
Difference: single layers with nn.Dropout between them instead of nn.LSTM(dropout=p). It is the same
function, but dropout masks come from torch's generator, whose state can be saved and restored;
cuDNN has a hidden one.
"""

from torch import Tensor, nn

from autoclip_sep.errors import InputError

# Of each layer, what the frames before left: two tensors (1, B, hidden).
State = list[tuple[Tensor, Tensor]]


class BLSTM(nn.Module):
    """`layers` LSTMs with `hidden` units per direction; dropout between layers.

    bidirectional: false for layers that only look back, so that frames can come piece by piece.
    Raises InputError for fewer than one layer.
    """

    def __init__(
        self, inputs: int, hidden: int, layers: int, dropout: float, bidirectional: bool = True
    ) -> None:
        super().__init__()
        if layers < 1:
            raise InputError(f"layers={layers}: must be at least 1")
        self.outputs = 2 * hidden if bidirectional else hidden
        sizes = [inputs] + [self.outputs] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(size, hidden, batch_first=True, bidirectional=bidirectional) for size in sizes
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, inputs) to (B, N, outputs)."""
        return self.going_on(features)[0]

    def going_on(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The same for the next frames, where the state is that of the frames before them.

        Piece by piece gives what all frames at once give only if not bidirectional.
        """
        left: State = []
        for i, layer in enumerate(self.layers):
            given = self.dropout(features) if i else features
            features, own = layer(given, state[i] if state else None)
            left.append(own)
        return features, left
