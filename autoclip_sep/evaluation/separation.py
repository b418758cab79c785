"""Separation by a trained network: mixtures of any length in, waveforms of the sources out."""

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
    """A trained network, and how its estimates become waveforms.

    permute: whether the order of the estimates may differ between mixtures. chunk, overlap:
    samples; longer mixtures are separated in overlapping chunks, so that memory stays bounded.
    scaled: false for a network trained on a scale-invariant loss, whose estimates are rescaled to
    the mixture.
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

        Raises InputError where they aren't finite: a NaN score would count as silence.
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
        """The same for one mixture (B = 1) of any length; the waveforms are on the CPU."""
        if batch.mixture.shape[-1] <= self.chunk:
            return self(batch.to(self.device)).cpu()
        return torch.cat(list(self.stream([batch.mixture[0]])), dim=-1)[None]

    def stream(self, mixture: Iterable[Tensor]) -> Iterator[Tensor]:
        """A mixture without references, blockwise: (C, n) to (S, C, n)."""
        return separate_long(self._part, mixture, self.chunk, self.overlap, self.permute)

    def _part(self, mixture: Tensor) -> Tensor:
        return self(_unknown(mixture).to(self.device)).cpu()


def _unknown(mixture: Tensor) -> Batch:
    """A batch of one mixture (1, C, T) without references."""
    length = torch.tensor(mixture.shape[-1:], device=mixture.device)
    return Batch(mixture, mixture[:, None, :, :0], length, ("",))
