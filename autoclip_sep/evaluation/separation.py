"""A trained network as what it is for: mixtures in, sources out, whatever their length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.separation.chunks import separate_long
from autoclip_sep.separation.scale import to_mixture
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch


@dataclass(frozen=True)
class Separation:
    """A trained network and how its estimates become sounds.

    permute: whether the order of the estimates may differ from mixture to mixture. chunk, overlap:
    samples; a longer mixture is separated in overlapping chunks, so that memory stays bounded.
    scaled: whether the estimates have a scale; those of a network that was trained on a
    scale-invariant loss are given the mixture's.
    """

    model: nn.Module
    stft: STFT
    sources: int
    device: torch.device
    permute: bool = True
    chunk: int = 2**20
    overlap: int = 2**16
    scaled: bool = True

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """One waveform per source, in float32, dropout off: (B, S, C, T).

        Raises InputError where they aren't finite: such a score would be taken for silence.
        """
        self.model.eval()
        waveforms = separate(self.model(batch), batch, self.stft, self.sources)
        if not self.scaled:
            waveforms = to_mixture(waveforms, batch.mixture)
        if not bool(waveforms.isfinite().all()):
            of = ", ".join(filter(None, batch.items))
            raise InputError(f"the network's estimate is not finite{of and f' for {of}'}")
        return waveforms

    def whole(self, batch: Batch) -> Tensor:
        """The same for one mixture (B = 1) of any length; the waveforms are on the processor."""
        if batch.mixture.shape[-1] <= self.chunk:
            return self(batch.to(self.device)).cpu()
        return torch.cat(list(self.stream([batch.mixture[0]])), dim=-1)[None]

    def stream(self, mixture: Iterable[Tensor]) -> Iterator[Tensor]:
        """A mixture whose sources nobody knows: blocks (C, n) to blocks (S, C, n)."""
        return separate_long(self._part, mixture, self.chunk, self.overlap, self.permute)

    def _part(self, mixture: Tensor) -> Tensor:
        return self(_unknown(mixture).to(self.device)).cpu()


def _unknown(mixture: Tensor) -> Batch:
    """A batch (1, C, T) without targets."""
    length = torch.tensor(mixture.shape[-1:], device=mixture.device)
    return Batch(mixture, mixture[:, None, :, :0], length, ("",))
