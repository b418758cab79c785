"""What a metric is. Each has a file in this folder, and is found by its base class."""

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
    """One mixture with its sources (B = 1), and what a network makes of it.

    estimate: (1, S, C, T), on the processor. names: the sources', from "1" where they have none.
    permute: whether estimates may come in any order. device: where long computations are fast.
    """

    batch: Batch
    estimate: Tensor
    names: Sequence[str]
    permute: bool
    sample_rate: int
    device: torch.device

    def in_order(self) -> Tensor:
        """The estimates (1, S, C, T) in the order of their sources, found by SI-SDR if need be."""
        if not self.permute:
            return self.estimate
        _, order = si_sdr_permuted(self.estimate.flatten(2), self.batch.sources.flatten(2))
        return reorder(self.estimate, order)


class Metric(ABC):
    """Scores every source of a mixture, and says what a table of such scores amounts to.

    name: what it is asked for by. columns: those of its table beside item and source, and the types
    of their values.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, type]]

    def file_name(self, split: str) -> str:
        """That of its table."""
        return f"{split}_{self.name}.csv"

    @abstractmethod
    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """The values of `columns` for each source; NaN where there is no score."""

    @abstractmethod
    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """A few numbers, plain ones, of all rows; empty where nothing has a score."""

    @abstractmethod
    def as_text(self, summary: Mapping[str, Any]) -> str:
        """A summary for a terminal."""


def metrics() -> dict[str, type[Metric]]:
    """All that have a file here, by name."""
    for module in pkgutil.iter_modules(evaluation.__path__):
        importlib.import_module(f"{evaluation.__name__}.{module.name}")
    return {
        metric.name: metric
        for metric in Metric.__subclasses__()
        if metric.__module__.startswith(f"{evaluation.__name__}.")
    }
