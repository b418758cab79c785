"""Which head is used, and ideal estimates that must come out as the sources."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.masks import frame_major, ideal_binary_mask, phase_sensitive_mask
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.separation.separate import apply_masks, separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

STFT_64 = STFT(64, 16)


def tones(channels: int = 1) -> Batch:
    """Two sources that share no bin: the ideal binary mask separates them almost perfectly."""
    time = torch.arange(1003) / 64
    sources = torch.stack([torch.sin(2 * torch.pi * k * time) for k in (5.0, 20.0)])
    gains = torch.tensor([[1.0, 0.5], [0.3, 1.0], [0.7, 0.7]])[:, None, :channels, None]
    sources = 0.3 * gains * sources[None, :, None]
    return Batch(sources.sum(dim=1), sources, torch.full((3,), 1003), ("a", "b", "c"))


def ideal(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, F, N) mixture and (B, S, C, F, N) binary masks."""
    spectra = STFT_64.transform(batch.sources)
    return STFT_64.transform(batch.mixture), ideal_binary_mask(spectra)


def score(batch: Batch, waveforms: torch.Tensor) -> float:
    assert waveforms.shape == batch.sources.shape
    flat = (x.flatten(2) for x in (waveforms, batch.sources))
    return float(si_sdr_permuted(*flat)[0].min())


@pytest.mark.parametrize("channels", [1, 2])
def test_masks_are_applied_to_the_mixture(channels: int) -> None:
    batch = tones(channels)
    mixture_stft, masks = ideal(batch)
    waveforms = separate(Estimate(mixture_stft, masks=masks), batch, STFT_64, 2)
    assert torch.equal(waveforms, apply_masks(masks, mixture_stft, STFT_64, 1003))
    assert score(batch, waveforms) > 20


@pytest.mark.parametrize("channels", [1, 2])
def test_embedding_is_clustered_into_binary_masks(channels: int) -> None:
    """Of all channels together: a source is the same one in each."""
    batch = tones(channels)
    mixture_stft, masks = ideal(batch)
    hot = frame_major(masks.movedim(2, 1).flatten(0, 1)).unflatten(0, (3, channels))
    generator = torch.Generator().manual_seed(0)
    points = functional.pad(hot, (0, 3)) + 0.1 * torch.randn(
        *hot.shape[:-1], 5, generator=generator
    )
    embedding = functional.normalize(points, dim=-1)
    waveforms = separate(Estimate(mixture_stft, embedding=embedding), batch, STFT_64, 2)
    assert score(batch, waveforms) > 20


def test_waveforms_come_before_masks_and_masks_before_the_embedding() -> None:
    batch = tones()
    mixture_stft, masks = ideal(batch)
    nothing = torch.full((3, 1, mixture_stft[0].numel(), 4), torch.nan)
    chimera = Estimate(mixture_stft, masks=masks, embedding=nothing)
    assert score(batch, separate(chimera, batch, STFT_64, 2)) > 20
    network = Estimate(mixture_stft, masks=masks, waveforms=batch.sources)
    assert separate(network, batch, STFT_64, 2) is batch.sources


def test_masks_that_sum_to_one_give_the_mixture_back() -> None:
    batch = tones(2)
    mixture_stft, _ = ideal(batch)
    folded = STFT_64.transform(batch.sources).transpose(1, 2).flatten(0, 1)
    masks = phase_sensitive_mask(mixture_stft.flatten(0, 1), folded)
    masks = masks.unflatten(0, (3, 2)).transpose(1, 2)
    parts = apply_masks(masks, mixture_stft, STFT_64, 1003)
    torch.testing.assert_close(parts.sum(dim=1), batch.mixture, rtol=0, atol=1e-5)


def test_silence_stays_silent() -> None:
    batch = tones()
    silent = Batch(0 * batch.mixture, 0 * batch.sources, batch.lengths, batch.items)
    mixture_stft, _ = ideal(silent)
    embedding = torch.full((3, 1, mixture_stft[0].numel(), 4), 0.5)
    waveforms = separate(Estimate(mixture_stft, embedding=embedding), silent, STFT_64, 2)
    assert torch.equal(waveforms, silent.sources)
