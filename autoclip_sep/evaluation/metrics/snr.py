"""SNR of every source, and its improvement over the mixture."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from autoclip_sep.evaluation.per_source import PerSource
from autoclip_sep.metrics.snr import snr


class Snr(PerSource):
    """Of all channels as one long signal, like SI-SDR, which assigns the estimates."""

    name = "snr"
    scores: ClassVar = {"snr": "SNR"}
    unit = " dB"
    improves = True

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        """In float64: the last bit of float32 is 2e-6 dB."""
        return [float(snr(estimate.flatten().double(), reference.flatten()))]
