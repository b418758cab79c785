"""The separation network: log-magnitude spectrum, LSTMs, and the heads that the loss needs.

Source: Seetharaman et al., "AutoClip" (2020), section 4. The paper states neither dropout nor
normalisation: 0.3 and BatchNorm over the input's bins are those of the authors' library in 2020.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.models.blstm import BLSTM, State
from autoclip_sep.models.heads import EmbeddingHead, MaskHead
from autoclip_sep.precision import full_precision
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

HEADS = ("masks", "embedding", "waveforms")
MAGNITUDE_FLOOR = 1e-8


class Separator(nn.Module):
    """Masks, embeddings or waveforms of `sources` sources from a mixture.

    heads: any of "masks", "embedding", "waveforms". Waveforms are the inverse STFT of the masked
    mixture, so they come with masks. Channels are separated one by one, by the same
    weights. Recurrent and linear layers run under the caller's autocast, all else in full
    precision. magnitude_floor: nothing is quieter than that to the network.

    bidirectional: false for a causal network, which can separate a stream: see `next_masks`.

    Raises InputError for an unknown head, or none, and for a floor that isn't positive.
    """

    def __init__(
        self,
        stft: STFT,
        heads: Iterable[str],
        sources: int = 2,
        hidden: int = 300,
        layers: int = 2,
        dropout: float = 0.3,
        embedding_size: int = 20,
        batch_norm: bool = True,
        bidirectional: bool = True,
        magnitude_floor: float = MAGNITUDE_FLOOR,
    ) -> None:
        super().__init__()
        self.stft = stft
        self.heads = frozenset([heads] if isinstance(heads, str) else heads)
        if not self.heads or not self.heads <= set(HEADS):
            raise InputError(f"heads={sorted(self.heads)}: one or more of {', '.join(HEADS)}")
        if not magnitude_floor > 0:
            raise InputError(f"magnitude_floor={magnitude_floor}: must be greater than 0")
        self.magnitude_floor = magnitude_floor
        bins = stft.bins
        self.norm = nn.BatchNorm1d(bins) if batch_norm else nn.Identity()
        self.blstm = BLSTM(bins, hidden, layers, dropout, bidirectional)
        masked = self.heads & {"masks", "waveforms"}
        self.mask_head = MaskHead(self.blstm.outputs, bins, sources) if masked else None
        embedded = "embedding" in self.heads
        self.embedding_head = (
            EmbeddingHead(self.blstm.outputs, bins, embedding_size) if embedded else None
        )
        # Clusters are known once all of a mixture is; masks are from frame to frame.
        self.streams = self.mask_head is not None and not bidirectional

    def forward(self, batch: Batch) -> Estimate:
        """Mixtures (B, C, T) to an estimate with the requested heads."""
        channels, length = batch.mixture.shape[1:]
        spectrum = self.stft.transform(batch.mixture.flatten(0, 1))
        features = self.blstm(self.norm(self.log_magnitude(spectrum)).transpose(1, 2))

        masks = embedding = waveforms = None
        if self.mask_head is not None:
            masks = self.mask_head(features)
        if "waveforms" in self.heads:
            assert masks is not None
            waveforms = self.stft.inverse(masks * spectrum.unsqueeze(1), length)
        if self.embedding_head is not None:
            embedding = self.embedding_head(features).unflatten(0, (-1, channels))
        return Estimate(
            spectrum.unflatten(0, (-1, channels)),
            _unfold(masks, channels),
            embedding,
            _unfold(waveforms, channels),
        )

    def next_masks(self, spectrum: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Masks (B, S, F, N) of the next frames (B, F, N), and the state for those after them.

        For networks that stream, in evaluation mode: `forward` gives the same masks at once.
        """
        assert self.streams
        assert self.mask_head is not None
        features = self.norm(self.log_magnitude(spectrum)).transpose(1, 2)
        features, state = self.blstm.going_on(features, state)
        return self.mask_head(features), state

    def log_magnitude(self, spectrum: Tensor) -> Tensor:
        """What the layers see of a spectrum: ln |X|, floored."""
        return log_magnitude(spectrum, self.magnitude_floor)


@full_precision
def log_magnitude(spectrum: Tensor, floor: float = MAGNITUDE_FLOOR) -> Tensor:
    """ln |X|, floored, by default 154 dB below a full-scale sine, whose magnitude is 1/2."""
    return spectrum.abs().clamp_min(floor).log()


def _unfold(folded: Tensor | None, channels: int) -> Tensor | None:
    """(B*C, S, ...) to (B, S, C, ...)."""
    return None if folded is None else folded.unflatten(0, (-1, channels)).transpose(1, 2)
