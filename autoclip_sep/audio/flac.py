"""Sounds as FLAC in memory, for pages that carry them."""

import io

import soundfile
from numpy.typing import ArrayLike

from autoclip_sep.audio.soundfiles import quantise


def flac(samples: ArrayLike, sample_rate: int) -> bytes:
    """Samples (C, T) in [-1, 1] with 16 bits, without loss; C is at most 8."""
    file = io.BytesIO()
    soundfile.write(file, quantise(samples).T, sample_rate, format="FLAC")
    return file.getvalue()
