"""Small spectrograms and masks as pictures inside a page."""

import base64
import io

import numpy as np
import torch
from matplotlib import colormaps, image
from numpy.typing import NDArray
from torch import Tensor

from autoclip_sep.report.section import Picture
from autoclip_sep.stft import STFT

RANGE_DB = 65.0  # between the darkest and the brightest
HIGHEST = 8000.0  # Hz; above it music shows little
ROWS, COLUMNS = 140, 420  # at most, in pixels
SILENCE = -200.0  # dB, the lowest level there is
LEVELS = 64  # of colour: fewer bytes than 256, and no visible steps

Grid = NDArray[np.float64]


def levels(waveform: Tensor, stft: STFT) -> Grid:
    """A waveform (C, T) to its level at each point (F, N) in dB, the channels' power averaged."""
    power = stft.transform(waveform).abs().square().mean(dim=0)
    return (10 * torch.log10(power.double().clamp_min(10 ** (SILENCE / 10)))).numpy()


def spectrogram(grid: Grid, loudest: float, rate: int, seconds: float, of: str) -> Picture:
    """The levels (F, N) below `loudest`, which is the same for all pictures beside each other."""
    if grid.max() <= SILENCE:
        what = "it is silent"
    else:
        what = f"half of its energy is below {_energy_below(grid, rate)}"
    answer = f"Spectrogram of {of}: {what}."
    return _picture(grid, "magma", (loudest - RANGE_DB, loudest), rate, seconds, answer)


def mask(grid: Grid, rate: int, seconds: float, of: str) -> Picture:
    """A mask (F, N) in [0, 1], white where it passes the mixture."""
    passes = 100 * float(grid.mean()) if grid.size else 0.0
    answer = f"Mask of {of}, white where it passes the mixture: {passes:.0f} % on average."
    return _picture(grid, "gray", (0.0, 1.0), rate, seconds, answer)


def _picture(
    grid: Grid, colours: str, ends: tuple[float, float], rate: int, seconds: float, answer: str
) -> Picture:
    highest = min(rate / 2, HIGHEST)
    rows = max(1, round(len(grid) * highest / (rate / 2)))
    small = _pooled(_pooled(grid[:rows], ROWS).T, COLUMNS).T
    file = io.BytesIO()
    image.imsave(file, small, vmin=ends[0], vmax=ends[1], origin="lower", format="png",
                 cmap=colormaps[colours].resampled(LEVELS))  # fmt: skip
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(uri, answer, f"{highest / 1000:g} kHz", seconds)


def _pooled(grid: Grid, most: int) -> Grid:
    """The largest of neighbouring rows, so that at most `most` are left."""
    if len(grid) <= most:
        return grid
    starts = np.linspace(0, len(grid), most, endpoint=False).astype(int)
    pooled: Grid = np.maximum.reduceat(grid, starts, axis=0)
    return pooled


def _energy_below(grid: Grid, rate: int) -> str:
    """The frequency below which half of the energy lies, as text."""
    energy = np.cumsum((10 ** (grid / 10)).sum(axis=1))
    middle = int(np.searchsorted(energy, energy[-1] / 2))
    return f"{middle / max(len(grid) - 1, 1) * rate / 2:,.0f} Hz"
