"""Metrics that give one or a few numbers for each source, and their means and medians."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any, ClassVar

import torch
from pandas import DataFrame
from torch import Tensor

from autoclip_sep.evaluation.metric import Metric, Separated


class PerSource(Metric):
    """Scores each source by itself; the sources of undefined scores are counted, never averaged.

    scores: columns of its table, with what they are called on the screen. unit: of all of them.
    digits: behind the point. improves: whether the unprocessed mixture is scored as well, in
    columns `<score>_mixture`.
    """

    scores: ClassVar[Mapping[str, str]]
    unit: ClassVar[str] = ""
    digits: ClassVar[int] = 2
    improves: ClassVar[bool] = False
    undefined: ClassVar[str] = "undefined"  # what undefined scores are called in the summary

    @property
    def columns(self) -> dict[str, type]:  # type: ignore[override]
        """Floats, NaN where undefined."""
        return dict.fromkeys(self._columns(), float)

    @abstractmethod
    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        """The `scores` of an estimate (C, T) of a source (C, T); NaN where undefined."""

    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """One row for each source.

        A mixture has no score where it is silent or isn't known, and where it is the source itself,
        all else being silent: there is nothing to improve on.
        """
        mixture, rate = separated.batch.mixture[0], separated.sample_rate
        known = bool(mixture.any())
        pairs = zip(separated.in_order()[0], separated.batch.sources[0], strict=True)
        for estimate, reference in pairs:
            values = list(self.measure(estimate, reference, rate))
            if self.improves:
                unknown = [math.nan] * len(self.scores)
                mixed = known and not torch.equal(mixture, reference)
                values += self.measure(mixture, reference, rate) if mixed else unknown
            yield dict(zip(self._columns(), values, strict=True))

    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """Means and medians over sources of the scores and of their improvement, and counts.

        Named sources are also averaged one by one.
        """
        summary = self._averages(table)
        if not summary:
            return {}
        summary["mixtures"] = table["item"].nunique()
        summary[self.undefined] = len(table) - summary["scored"]
        named = table[~table["source"].str.isdecimal()].groupby("source", sort=False)
        if len(named):
            summary["sources"] = {str(name): self._averages(rows) for name, rows in named}
        return summary

    def as_text(self, summary: Mapping[str, Any]) -> str:
        """A line for each score and each improvement, those of named sources, and the counts."""
        lines = []
        for score, title in self.scores.items():
            lines.append(f"{title:19} {self._line(score, summary)}")
            if f"{score}_improvement_mean" in summary:
                improvement = self._line(f"{score}_improvement", summary)
                lines.append(f"{f'{title} improvement':19} {improvement}")
        for name, own in summary.get("sources", {}).items():
            for score in self.scores if own else ():
                line = f"  {name:17} {self._line(score, own)}"
                if f"{score}_improvement_mean" in own:
                    mean = own[f"{score}_improvement_mean"]
                    line += f"   improvement {self._number(mean)}"
                lines.append(line)
        lines.append(
            f"{summary['scored']} sources of {summary['mixtures']} mixtures scored, "
            f"{summary[self.undefined]} {self.undefined}"
        )
        return "\n".join(lines)

    def _line(self, score: str, summary: Mapping[str, Any]) -> str:
        mean, middle = summary[f"{score}_mean"], summary[f"{score}_median"]
        return f"mean {self._number(mean)}   median {self._number(middle)}"

    def _number(self, value: float) -> str:
        return f"{value:6.{self.digits}f}{self.unit}"

    def _averages(self, table: DataFrame) -> dict[str, Any]:
        """Means and medians of the defined scores; empty where there are none.

        Those of improvements are left out where no mixture has a score, since it isn't known.
        """
        table = table.dropna(subset=[*self.scores])
        if table.empty:
            return {}
        averages: dict[str, Any] = {}
        for score in self.scores:
            values = {score: table[score]}
            if self.improves:
                improvement = (table[score] - table[f"{score}_mixture"]).dropna()
                values |= {f"{score}_improvement": improvement} if len(improvement) else {}
            for name, column in values.items():
                # fmean sums exactly, unlike pandas: the last digits don't depend on the order.
                averages[f"{name}_mean"] = fmean(column)
                averages[f"{name}_median"] = median(column)
        return {**averages, "scored": len(table)}

    def _columns(self) -> list[str]:
        """Those with scores."""
        mixture = [f"{score}_mixture" for score in self.scores] if self.improves else []
        return [*self.scores, *mixture]


class PerChannel(PerSource):
    """Scores each channel by itself, and gives their mean.

    Undefined where a channel of the estimate or of the source is silent.
    """

    def in_workers(self, device: torch.device) -> bool:
        return True

    @abstractmethod
    def channel(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        """The scores of one channel (T), neither silent; NaN where undefined."""

    def measure(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        """Means over the channels."""
        if not all(signal.any(dim=-1).all() for signal in (estimate, reference)):
            return [math.nan] * len(self.scores)
        pairs = zip(estimate, reference, strict=True)
        scores = [self.channel(*pair, sample_rate) for pair in pairs]
        return [fmean(values) for values in zip(*scores, strict=True)]
