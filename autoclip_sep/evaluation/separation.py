"""Separation by a trained network: mixtures of any length in, waveforms of the sources out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.models.separator import Separator
from autoclip_sep.separation import streaming
from autoclip_sep.separation.chunks import separate_long
from autoclip_sep.separation.scale import to_mixture
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch


@dataclass(frozen=True)
class Separation:
    """A trained network, and how its estimates become waveforms.

    permute: whether the order of the estimates may differ between mixtures. chunk, overlap:
    samples; longer mixtures are separated in overlapping chunks, so that memory stays bounded.
    scaled: false for a network trained on a scale-invariant loss, whose estimates are rescaled to
    the mixture. soft: whether clusters become soft masks.
    """

    model: nn.Module
    stft: STFT
    sources: int
    device: torch.device
    permute: bool = True
    chunk: int = 2**20
    overlap: int = 2**16
    scaled: bool = True
    soft: bool = False

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """One waveform per source, in float32, dropout off: (B, S, C, T).

        Raises InputError where they aren't finite: a NaN score would count as silence.
        """
        self.model.eval()
        waveforms = separate(self.model(batch), batch, self.stft, self.sources, self.soft)
        if not self.scaled:
            waveforms = to_mixture(waveforms, batch.mixture)
        return _finite(waveforms, batch.items)

    def whole(self, batch: Batch) -> Tensor:
        """The same for mixtures of any one length; the waveforms are on the CPU.

        An item's waveforms don't depend on the others but for the last bit of float32. k-means
        turns that bit into tenths of a decibel, as it may draw other starting points, so networks
        that are separated by it get one mixture at a time.
        """
        if batch.mixture.shape[-1] <= self.chunk and (len(batch.items) == 1 or not self.clusters):
            return self(batch.to(self.device)).cpu()
        if batch.mixture.shape[-1] <= self.chunk:
            return torch.cat([self.whole(batch.item(b)) for b in range(len(batch.items))])
        streams = (self.stream([mixture]) for mixture in batch.mixture)
        return torch.stack([torch.cat(list(stream), dim=-1) for stream in streams])

    def stream(self, mixture: Iterable[Tensor]) -> Iterator[Tensor]:
        """A mixture without references, blockwise: (C, n) to (S, C, n).

        A causal network gives what it gives for the whole at once; others go through in chunks.
        """
        if isinstance(self.model, Separator) and self.streams:
            return self._frames(self.model.eval(), mixture)
        return separate_long(self._part, mixture, self.chunk, self.overlap, self.permute)

    @property
    def clusters(self) -> bool:
        """Whether the sources are clusters of embeddings, of which there may be any number."""
        heads = set(getattr(self.model, "heads", ()))
        return "embedding" in heads and not heads & {"masks", "waveforms"}

    @property
    def streams(self) -> bool:
        """Whether a network of ours is causal, and nothing else waits for the mixture's end."""
        return isinstance(self.model, Separator) and self.model.streams and self.scaled

    @property
    def latency(self) -> int:
        """Samples that `stream` needs beyond one of the mixture to give that of the sources."""
        return streaming.latency(self.stft) if self.streams else self.chunk

    @torch.no_grad()
    def _frames(self, model: Separator, mixture: Iterable[Tensor]) -> Iterator[Tensor]:
        blocks = (block.to(self.device) for block in mixture)
        for part in streaming.separate_frames(model, blocks):
            yield _finite(part).cpu()

    def _part(self, mixture: Tensor) -> Tensor:
        return self(_unknown(mixture).to(self.device)).cpu()


def _finite(waveforms: Tensor, items: Iterable[str] = ()) -> Tensor:
    if not bool(waveforms.isfinite().all()):
        of = ", ".join(filter(None, items))
        raise InputError(f"the network's estimate is not finite{of and f' for {of}'}")
    return waveforms


def _unknown(mixture: Tensor) -> Batch:
    """A batch of one mixture (1, C, T) without references."""
    length = torch.tensor(mixture.shape[-1:], device=mixture.device)
    return Batch(mixture, mixture[:, None, :, :0], length, ("",))
