"""The base class of metrics. Each has a file in this folder, and is found by this base class."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pandas import DataFrame
from torch import Tensor

from autoclip_sep import evaluation
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.permutation import reorder
from autoclip_sep.types import Batch


@dataclass(frozen=True)
class Separated:
    """One mixture with its sources (B = 1), and a network's estimate of them.

    estimate: (1, S, C, T), on the CPU. names: those of the sources, or "1", "2", ...
    permute: whether estimates may come in any order. device: for long computations.
    """

    batch: Batch
    estimate: Tensor
    names: Sequence[str]
    permute: bool
    sample_rate: int
    device: torch.device

    def in_order(self) -> Tensor:
        """The estimates (1, S, C, T) in the order of the sources, found by SI-SDR if `permute`."""
        if not self.permute:
            return self.estimate
        _, order = si_sdr_permuted(self.estimate.flatten(2), self.batch.sources.flatten(2))
        return reorder(self.estimate, order)


class Metric(ABC):
    """Scores every source of a mixture, and summarises a table of such scores.

    name: that in metrics=... columns: those of its table beside item and source, with their types.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, type]]

    def file_name(self, split: str) -> str:
        """The name of its table."""
        return f"{split}_{self.name}.csv"

    @abstractmethod
    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """The values of `columns` for each source; NaN where a score is undefined."""

    @abstractmethod
    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """Plain numbers over all rows; empty where no score is defined."""

    @abstractmethod
    def as_text(self, summary: Mapping[str, Any]) -> str:
        """A summary for a terminal."""


def metrics() -> dict[str, type[Metric]]:
    """All metrics of this folder, by name."""
    for module in pkgutil.iter_modules(evaluation.__path__):
        importlib.import_module(f"{evaluation.__name__}.{module.name}")
    return {
        metric.name: metric
        for metric in Metric.__subclasses__()
        if metric.__module__.startswith(f"{evaluation.__name__}.")
    }
