"""The separation network: log-magnitude spectrum, BLSTM, and the heads that the loss needs.

Source: Seetharaman et al., "AutoClip" (2020), section 4. The paper states neither dropout nor
normalisation: 0.3 and BatchNorm over the input's bins are those of the authors' library in 2020.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.models.blstm import BLSTM
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
    precision.

    Raises InputError for an unknown head, or none.
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
    ) -> None:
        super().__init__()
        self.stft = stft
        self.heads = frozenset([heads] if isinstance(heads, str) else heads)
        if not self.heads or not self.heads <= set(HEADS):
            raise InputError(f"heads={sorted(self.heads)}: one or more of {', '.join(HEADS)}")
        bins = stft.bins
        self.norm = nn.BatchNorm1d(bins) if batch_norm else nn.Identity()
        self.blstm = BLSTM(bins, hidden, layers, dropout)
        masked = self.heads & {"masks", "waveforms"}
        self.mask_head = MaskHead(2 * hidden, bins, sources) if masked else None
        self.embedding_head = (
            EmbeddingHead(2 * hidden, bins, embedding_size) if "embedding" in self.heads else None
        )

    def forward(self, batch: Batch) -> Estimate:
        """Mixtures (B, C, T) to an estimate with the requested heads."""
        channels, length = batch.mixture.shape[1:]
        spectrum = self.stft.transform(batch.mixture.flatten(0, 1))
        features = self.blstm(self.norm(log_magnitude(spectrum)).transpose(1, 2))

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


@full_precision
def log_magnitude(spectrum: Tensor) -> Tensor:
    """ln |X|, floored at 1e-8: 154 dB below a full-scale sine, whose magnitude is 1/2."""
    return spectrum.abs().clamp_min(MAGNITUDE_FLOOR).log()


def _unfold(folded: Tensor | None, channels: int) -> Tensor | None:
    """(B*C, S, ...) to (B, S, C, ...)."""
    return None if folded is None else folded.unflatten(0, (-1, channels)).transpose(1, 2)
