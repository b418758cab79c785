"""SDR of BSS Eval v3 of every source, and its improvement over the mixture."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from autoclip_sep.evaluation.per_source import PerChannel
from autoclip_sep.metrics.sdr import sdr
from autoclip_sep.optional import require


class Sdr(PerChannel):
    """As mir_eval's bss_eval_sources."""

    name = "sdr"
    scores: ClassVar = {"sdr": "SDR"}
    unit = " dB"
    improves = True

    def find(self) -> None:
        require("fast_bss_eval", "SDR")

    def channel(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        return [sdr(estimate, reference)]
