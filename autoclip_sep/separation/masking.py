"""Masks to waveforms."""

from torch import Tensor

from autoclip_sep.stft import STFT


def apply_masks(masks: Tensor, mixture_stft: Tensor, stft: STFT, length: int) -> Tensor:
    """The masked mixture's waveforms, with the mixture's phase: (B, S, C, T) with T = length.

    masks: (B, S, C, F, N). mixture_stft: (B, C, F, N) complex.
    """
    return stft.inverse(masks * mixture_stft.unsqueeze(1), length)
