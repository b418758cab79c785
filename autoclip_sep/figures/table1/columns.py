"""The numbers of Table 1: cells, and the pattern they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from autoclip_sep.figures import paper
from autoclip_sep.figures.comparable import OverSeeds
from autoclip_sep.figures.footer import Origin

NONE = OverSeeds({})
CLIPPED, UNCLIPPED = 10, 100  # the percentiles whose gap is compared


@dataclass(frozen=True)
class Column:
    """One loss: SI-SDR in dB by percentile, of the runs there are."""

    loss: str
    cells: Mapping[float, OverSeeds]
    iterations: str

    def cell(self, percentile: float) -> OverSeeds:
        """Without values where it wasn't run."""
        return self.cells.get(percentile, NONE)

    @property
    def best(self) -> float | None:
        """The percentile of the highest mean, the lower one of two; None for fewer than two."""
        if len(self.cells) < 2:
            return None
        return max(self.cells, key=lambda percentile: (self.cells[percentile].mean, -percentile))

    @property
    def best_of_each_seed(self) -> dict[int, float]:
        """By seed, of those that ran every percentile that any ran."""
        if len(self.cells) < 2:
            return {}
        whole = set.intersection(*(set(cell.values) for cell in self.cells.values()))
        return {
            seed: max(self.cells, key=lambda p: (self.cells[p].values[seed], -p))
            for seed in sorted(whole)
        }

    @property
    def gap(self) -> OverSeeds:
        """p = 10 minus p = 100, seed by seed."""
        return self.cell(CLIPPED).minus(self.cell(UNCLIPPED))

    @property
    def gap_to_paper(self) -> OverSeeds:
        """The gap here minus the paper's."""
        theirs = paper_gap(self.loss)
        return OverSeeds({seed: gap - theirs for seed, gap in self.gap.values.items()})


@dataclass(frozen=True)
class Table:
    """Ours, of one corpus and model; the paper's is in paper.py."""

    origin: Origin
    columns: Mapping[str, Column]  # by loss, all of the paper's in its order

    @cached_property
    def percentiles(self) -> list[float]:
        """The paper's, and any other that was run."""
        ours = {percentile for column in self.columns.values() for percentile in column.cells}
        return sorted(ours | set(paper.PERCENTILES))

    def differs(self) -> list[str]:
        """What is not as in the paper."""
        seen = {column.iterations for column in self.columns.values()} - {""}
        pairs = {
            "corpus": self.origin.corpus == paper.CORPUS,
            "network": self.origin.network == paper.NETWORK,
            "number of iterations": seen == {f"{paper.ITERATIONS:,}"},
        }
        return [what for what, same in pairs.items() if not same]

    def in_short(self) -> str:
        """The gaps in a line."""
        gaps = [
            f"{column.loss} {column.gap.mean:+.2f}"
            for column in self.columns.values() if column.gap.values
        ]  # fmt: skip
        return "p = 10 minus p = 100 [dB]: " + (", ".join(gaps) or "no loss has both")


def paper_best(loss: str) -> list[float]:
    """The percentiles with the paper's highest number; it gives one decimal, so there are ties."""
    column = paper.TABLE_1[loss]
    return [percentile for percentile, value in column.items() if value == max(column.values())]


def paper_gap(loss: str) -> float:
    """The paper's p = 10 minus p = 100, in dB."""
    return round(paper.TABLE_1[loss][CLIPPED] - paper.TABLE_1[loss][UNCLIPPED], 1)
