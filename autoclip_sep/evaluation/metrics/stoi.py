"""STOI and ESTOI, speech intelligibility, by the package pystoi.

Source: Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy
speech" (2011); Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked
by modulated noise maskers" (2016).
Difference: undefined where less than 0.4 s of the reference are within 40 dB of its loudest part,
for which pystoi warns and returns 1e-5.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from autoclip_sep.evaluation.per_source import PerChannel
from autoclip_sep.optional import require


class Stoi(PerChannel):
    """Between about 0 and 1. pystoi resamples to 10 kHz. extended: ESTOI."""

    digits = 3

    def __init__(self, extended: bool = False) -> None:
        self.extended = extended
        self.name = "estoi" if extended else "stoi"
        self.scores = {self.name: self.name.upper()}  # type: ignore[misc]

    def find(self) -> None:
        require("pystoi", "STOI")

    def channel(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        package: Any = require("pystoi", "STOI")
        pair = [signal.double().numpy() for signal in (reference, estimate)]
        # ESTOI adds noise of 1e-16 by NumPy's own generator: the same for every source.
        before = np.random.get_state()
        np.random.seed(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                return [float(package.stoi(*pair, sample_rate, extended=self.extended))]
        except (RuntimeWarning, ValueError):  # too short: for statistics, or for one frame
            return [math.nan]
        finally:
            np.random.set_state(before)
