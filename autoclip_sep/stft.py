"""The short-time Fourier transform that networks, losses and separation share."""

import torch
from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.precision import full_precision


class STFT(nn.Module):
    """Centred transform with a periodic square-root Hann window, divided by the window's sum.

    torch.stft doesn't divide. With the division a full-scale sine has magnitude 1/2 for any window,
    and the mask inference loss has the paper's order of magnitude (1e-5).
    It has no parameters and no buffers: one object serves every device and precision. float64
    waveforms are transformed in float64, all others in float32.
    """

    def __init__(self, window_length: int = 256, hop_length: int = 64) -> None:
        super().__init__()
        if not 0 < 2 * hop_length <= window_length:
            raise InputError(
                f"hop_length={hop_length} with window_length={window_length}: the signal can't be "
                "restored; the hop must be from 1 to half the window"
            )
        self.window_length = window_length
        self.hop_length = hop_length
        # Explicitly on the CPU: networks are also built under torch.device("meta").
        precise = torch.zeros((), dtype=torch.float64, device="cpu")
        self.window_sum = float(self._window(precise).sum())

    @property
    def bins(self) -> int:
        """F, the number of frequency bins."""
        return self.window_length // 2 + 1

    def extra_repr(self) -> str:
        return f"window_length={self.window_length}, hop_length={self.hop_length}"

    @full_precision
    def transform(self, waveform: Tensor) -> Tensor:
        """Waveforms (..., T) to complex spectra (..., F, N), with N = 1 + T // hop_length.

        Both ends are zero-padded, so a signal may be shorter than the window.
        """
        flat = waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(
            flat,
            self.window_length,
            self.hop_length,
            window=self._window(flat) / self.window_sum,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[-2:])

    @full_precision
    def inverse(self, stft: Tensor, length: int) -> Tensor:
        """Spectra (..., F, N) to waveforms (..., T) of T = length samples."""
        waveform = torch.istft(
            stft.reshape(-1, *stft.shape[-2:]),
            self.window_length,
            self.hop_length,
            window=self._window(stft.real),
            center=True,
            length=length,
        )
        return waveform.reshape(*stft.shape[:-2], length) * self.window_sum

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.window_length, dtype=like.dtype, device=like.device).sqrt()
