"""BSS Eval of lossy stems against the package museval on the samples that musdb reads.

musdb has stempeg and ffmpeg read stems as 16 bits. An AAC stream holds nothing at the top of the
band; what rounding leaves there is what makes SIR, ISR and SAR well conditioned.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.data.corpora import musdb
from autoclip_sep.evaluation.metrics.bss_eval import SCORES, BssEval
from autoclip_sep.evaluation.score import score_split
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.optional import import_museval
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

SECONDS = 2
VALID = "Actions - One Minute Smile"


class Leaky(torch.nn.Module):
    """The sources with leakage from each other and the mixture, and broadband noise."""

    def forward(self, batch: Batch) -> Estimate:
        return Estimate(torch.zeros(1), waveforms=leak(batch.sources, batch.mixture[:, None]))


def leak(sources: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
    """The estimates (..., S, C, T) of sources and their mixture (..., 1, C, T)."""
    noise = torch.randn(sources.shape, generator=torch.Generator().manual_seed(0))
    leaky = sources + 0.2 * sources.roll(9, dims=-1).flip(-3) + 0.05 * mixture.roll(40, dims=-1)
    return leaky + 0.003 * noise


def low_noise(seed: int) -> np.ndarray:
    """Stereo (2, T), nothing above 6 kHz, as the encoder of MUSDB18 left nothing above 16 kHz."""
    length = SECONDS * musdb.RATE
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((2, length)))
    spectrum[:, 6000 * SECONDS :] = 0
    wave = np.fft.irfft(spectrum, length)
    return 0.15 * wave / wave.std()


def as_musdb_reads(path: Path, stream: int, frames: int) -> np.ndarray:
    """(T, C) float64: ffmpeg's own conversion to 16 bits, divided by 2^15."""
    av = pytest.importorskip("av")
    sixteen = av.AudioResampler(format="s16p")
    with av.open(str(path)) as container:
        parts = [part.to_ndarray() for frame in container.decode(audio=stream)
                 for part in sixteen.resample(frame)]  # fmt: skip
    return np.concatenate(parts, axis=1)[:, :frames].T / 2.0**15


def test_scores_are_musevals_on_what_musdb_reads(
    tmp_path: Path, write_stems: Callable[..., None]
) -> None:
    root = tmp_path / "musdb18"
    for n, name in enumerate((f"train/{VALID}", "train/a - b", "test/c - d")):
        parts = [low_noise(4 * n + seed) for seed in range(4)]
        write_stems(root / f"{name}.stem.mp4", [sum(parts), *parts])
    corpus = musdb.Musdb(
        root=str(root), sources=["vocals", "drums"], count=2, store=str(tmp_path / "store")
    )
    split = corpus.prepare(progress=False).split("test")
    separation = Separation(Leaky(), STFT(), 2, torch.device("cpu"), permute=False)
    score_split(
        BssEval(), separation, split, tmp_path / "t.csv", {"checkpoint": "best"},
        sample_rate=musdb.RATE, names=["vocals", "drums"], progress=False,
    )  # fmt: skip
    path, frames = root / "test/c - d.stem.mp4", int(split.lengths[0])
    read = torch.from_numpy(np.stack([as_musdb_reads(path, n, frames) for n in (4, 1)]))
    mixture = torch.from_numpy(as_musdb_reads(path, 0, frames))
    estimate = leak(read.transpose(1, 2), mixture.T[None]).transpose(1, 2)
    expected = import_museval().evaluate(read.numpy(), estimate.numpy())
    rows = records.read(tmp_path / "t.csv")
    for key, scores in zip(SCORES, expected, strict=True):
        found = [float(row[key]) for row in rows]
        assert found == pytest.approx(np.median(scores, axis=1), abs=0.01), key
