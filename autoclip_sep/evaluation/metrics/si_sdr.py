"""SI-SDR of every source, and its improvement over the mixture."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, ClassVar

from torch import Tensor

from autoclip_sep.evaluation.metric import Separated
from autoclip_sep.evaluation.per_source import PerSource
from autoclip_sep.metrics.si_sdr import si_sdr


class SiSdr(PerSource):
    """Of all channels as one long signal, under the best permutation where there may be several."""

    name = "si_sdr"
    scores: ClassVar = {"si_sdr": "SI-SDR"}
    unit = " dB"
    improves = True
    undefined = "silent"
    columns: ClassVar = {
        "estimate": str,  # the one assigned to the source
        "si_sdr": float,  # dB; NaN where reference or estimate is silent
        "si_sdr_mixture": float,  # dB, the unprocessed mixture against the same reference
        "silent": int,  # 1 where the score is undefined because of silence
    }

    def file_name(self, split: str) -> str:
        """The split alone."""
        return f"{split}.csv"

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        """In float64: the last bit of float32 is 2e-6 dB."""
        return [float(si_sdr(estimate.flatten().double(), reference.flatten()))]

    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """One row for each source."""
        assigned = separated.names
        if separated.permute:
            assigned = [str(e + 1) for e in separated.order]
        for estimate, row in zip(assigned, super().score(separated), strict=True):
            yield {"estimate": estimate, **row, "silent": int(isnan(row["si_sdr"]))}
