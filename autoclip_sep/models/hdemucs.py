"""Hybrid Demucs: two U-Nets, over the waveform and its spectrum, with a shared middle.

Source: Defossez, "Hybrid Spectrogram and Waveform Source Separation" (2021), in torchaudio's
implementation.
Difference: always in full precision, since it contains Fourier transforms.
"""

from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import HDemucs as Network

from autoclip_sep.errors import InputError
from autoclip_sep.precision import full_precision
from autoclip_sep.types import Batch, Estimate

DEPTHS = {1024: 5, 2048: 6, 4096: 6}  # layers that reduce the bins of n_fft to one


class HDemucs(nn.Module):
    """Waveforms of `sources` sources with the mixture's channels, separated together.

    width: channels of the outermost layer; they double with each. n_fft: 4096 at 44.1 kHz, 2048 or
    1024 at lower rates. Raises InputError for other values.
    """

    heads = frozenset({"waveforms"})

    def __init__(
        self, sources: int = 4, channels: int = 2, width: int = 48, n_fft: int = 4096
    ) -> None:
        super().__init__()
        if n_fft not in DEPTHS:
            raise InputError(f"n_fft={n_fft}: must be one of {', '.join(map(str, DEPTHS))}")
        self.shortest = n_fft  # samples; its reflection padding needs more than a frame
        self.network = Network(
            [str(number) for number in range(sources)],
            audio_channels=channels,
            channels=width,
            nfft=n_fft,
            depth=DEPTHS[n_fft],
        )

    def forward(self, batch: Batch) -> Estimate:
        """Mixtures (B, C, T) to waveforms (B, S, C, T)."""
        return Estimate(waveforms=self._separated(batch.mixture))

    @full_precision
    def _separated(self, mixture: Tensor) -> Tensor:
        length = mixture.shape[-1]
        waveforms: Tensor = self.network(
            functional.pad(mixture, (0, max(0, self.shortest - length)))
        )
        return waveforms[..., :length]
