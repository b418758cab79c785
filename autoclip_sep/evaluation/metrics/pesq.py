"""PESQ, perceptual quality of speech, by the package pesq.

Source: ITU-T P.862 (2001), P.862.1 (narrow band), P.862.2 (wide band): MOS-LQO from 1 to 4.6.
Recordings of other rates are resampled: to 8 kHz for the narrow band below 16 kHz, else to 16 kHz.
Never upwards: wide-band scores of what has no upper band would look like bad separation.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from autoclip_sep.audio.resampling import resample
from autoclip_sep.evaluation.per_source import PerChannel
from autoclip_sep.optional import require

RATES = {"narrow": 8000, "wide": 16000}
MODES = {"narrow": "nb", "wide": "wb"}


class Pesq(PerChannel):
    """Undefined where the package finds no utterance. band: narrow, wide."""

    def __init__(self, band: Literal["narrow", "wide"] = "wide") -> None:
        self.mode, self.least_rate = MODES[band], RATES[band]  # type: ignore[misc]
        self.name = f"pesq_{self.mode}"
        self.scores = {self.name: f"PESQ ({band} band)"}  # type: ignore[misc]

    def find(self) -> None:
        require("pesq", "PESQ")

    def channel(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        package: Any = require("pesq", "PESQ")
        rate = 16000 if sample_rate >= 16000 else 8000
        pair = [
            resample(signal.double().numpy(), sample_rate, rate) for signal in (reference, estimate)
        ]
        try:
            return [float(package.pesq(rate, *pair, self.mode))]
        except (package.NoUtterancesError, package.BufferTooShortError):
            return [math.nan]
