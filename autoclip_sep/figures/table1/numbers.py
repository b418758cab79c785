"""The numbers of Table 1: scores by loss, and the pattern they make."""

from dataclasses import dataclass
from functools import cached_property

from pandas import DataFrame, Series

from autoclip_sep.figures import footer, paper
from autoclip_sep.figures.over_seeds import by_seed, mean

CLIPPED, UNCLIPPED = 10, 100  # the percentiles whose gap is compared


@dataclass(frozen=True)
class Table:
    """Evaluated runs of one corpus and model, at least one of a loss of the paper's."""

    runs: DataFrame

    @cached_property
    def scores(self) -> dict[str, DataFrame]:
        """SI-SDR in dB by loss, all of the paper's in its order: a row for each seed, a column for
        each percentile that was run."""
        return {loss: by_seed(self.of(loss), "percentile", "si_sdr") for loss in paper.TABLE_1}

    def of(self, loss: str) -> DataFrame:
        """The runs of one loss."""
        return self.runs[self.runs["loss"] == loss]

    @cached_property
    def came(self) -> dict[str, str]:
        """Where our numbers come from."""
        return footer.provenance(self.runs)

    @cached_property
    def percentiles(self) -> list[float]:
        """The paper's, and any other that was run."""
        return sorted({*paper.PERCENTILES, *self.runs["percentile"]})

    def differs(self) -> list[str]:
        """What is not as in the paper."""
        lengths = {footer.iterations(self.of(loss)) for loss in self.runs["loss"]}
        same = {
            "corpus": self.came["corpus"] == paper.CORPUS,
            "network": self.came["network"] == paper.NETWORK,
            "number of iterations": lengths == {f"{paper.ITERATIONS:,}"},
        }
        return [what for what, is_same in same.items() if not is_same]

    def in_short(self) -> str:
        """The gaps in a line."""
        gaps = {loss: mean(gap(scores)) for loss, scores in self.scores.items()}
        known = [f"{loss} {value:+.2f}" for loss, value in gaps.items() if value == value]
        return "p = 10 minus p = 100 [dB]: " + (", ".join(known) or "no loss has both")


def best(scores: DataFrame) -> float | None:
    """The percentile of the highest mean, the lower one of two; None for fewer than two."""
    means = scores.agg(mean).dropna()
    return means.idxmax() if len(means) > 1 else None


def best_of_each_seed(scores: DataFrame) -> Series:
    """By seed, of those that ran every percentile that any ran."""
    return scores.dropna().idxmax(axis=1) if len(scores.columns) > 1 else Series(dtype=float)


def gap(scores: DataFrame) -> Series:
    """p = 10 minus p = 100 of the same seed, NaN where not both were run."""
    both = scores.reindex(columns=[CLIPPED, UNCLIPPED])
    return both[CLIPPED] - both[UNCLIPPED]


def paper_best(loss: str) -> list[float]:
    """The percentiles with the paper's highest number; it gives one decimal, so there are ties."""
    column = paper.TABLE_1[loss]
    return [percentile for percentile, value in column.items() if value == max(column.values())]


def paper_gap(loss: str) -> float:
    """The paper's p = 10 minus p = 100, in dB."""
    return round(paper.TABLE_1[loss][CLIPPED] - paper.TABLE_1[loss][UNCLIPPED], 1)
