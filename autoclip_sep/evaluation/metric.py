"""The base class of metrics. Each has a file in metrics/, and one in configs/metric/."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from pandas import DataFrame
from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.types import Batch


@dataclass(frozen=True)
class Separated:
    """One mixture with its sources (B = 1), and a system's estimate of them.

    estimate: (1, S, C, T), on the CPU. names: those of the sources, or "1", "2", ...
    permute: whether estimates may come in any order. device: for long computations; the CPU in a
    worker process.
    """

    batch: Batch
    estimate: Tensor
    names: Sequence[str]
    permute: bool
    sample_rate: int
    device: torch.device

    @cached_property
    def order(self) -> list[int]:
        """The estimate assigned to each source, from 0: by the best SI-SDR if `permute`."""
        if not self.permute:
            return list(range(self.estimate.shape[1]))
        _, order = si_sdr_permuted(self.estimate.flatten(2), self.batch.sources.flatten(2))
        return [int(e) for e in order[0]]

    def in_order(self) -> Tensor:
        """The estimates (1, S, C, T) in the order of the sources."""
        return self.estimate[:, self.order] if self.permute else self.estimate


class Metric(ABC):
    """Scores every source of a mixture, and summarises a table of such scores.

    name: that of its table. columns: those of its table beside item and source, with their types.
    least_rate: the lowest sample rate it can score [Hz]. settings: what a config gave it; scores
    made with others aren't kept.
    """

    name: str
    columns: ClassVar[Mapping[str, type]]
    least_rate: ClassVar[int] = 0
    settings: Mapping[str, Any] = {}

    def file_name(self, split: str) -> str:
        """The name of its table."""
        return f"{split}_{self.name}.csv"

    def in_workers(self, device: torch.device) -> bool:
        """Whether other processes score, where there are any, while this one separates.

        For what takes longer than sending them the signals, unless it computes on `device`. Such a
        metric keeps nothing from one mixture to the next.
        """
        return False

    def check(self, sample_rate: int) -> None:
        """Raises InputError for a rate that is too low, then for what it needs and isn't here."""
        if sample_rate < self.least_rate:
            raise InputError(
                f"metric {self.name} needs {self.least_rate} Hz or more; these recordings have "
                f"{sample_rate} Hz"
            )
        self.find()

    def find(self) -> None:  # noqa: B027 (most need nothing)
        """Find the package or the weights that it needs. Raises InputError where they are not."""

    @abstractmethod
    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """The values of `columns` for each source; NaN where a score is undefined."""

    @abstractmethod
    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """Plain numbers over all rows; empty where no score is defined."""

    @abstractmethod
    def as_text(self, summary: Mapping[str, Any]) -> str:
        """A summary for a terminal."""
