"""What is wrong with a corpus, or odd about it, as plain data and as text.

What can't be used at all (broken files, other rates, unequal lengths, a mixture that isn't the sum
of its signals or is in two splits) is refused when the store is made. This is about what can be
used and perhaps should not be. It rests on the statistics that are kept beside the store, so a
second look takes milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pandas import DataFrame

from autoclip_sep.data.checks.problems import Problem, find_problems, signal_table
from autoclip_sep.data.checks.statistics import FAINT, signal_statistics
from autoclip_sep.data.store.reading import LSB, Store
from autoclip_sep.names import shown

COLUMNS = {
    "mixtures": "{:,}",
    "hours": "{:.2f}",
    "shortest": "{:.2f} s",
    "longest": "{:.2f} s",
    "peak": "{:.3f}",
    "silent": "{:,}",
    "clipped": "{:,}",
}


@dataclass(frozen=True)
class Report:
    """What a store holds, and what may be wrong with it. noise: signals that are no sources.

    splits: a row per split, with mixtures, seconds, shortest and longest in seconds, peak (full
    scale is 1), silent sources, clipped signals, and distance: of a stored mixture from the sum of
    its signals, at most, in LSB of 16 bits; 0 where all are within 2.
    """

    sample_rate: int
    channels: int
    sources: int
    noise: int
    splits: DataFrame
    problems: tuple[Problem, ...]

    @property
    def serious(self) -> bool:
        """Whether training or its scores would suffer."""
        return any(problem.serious for problem in self.problems)

    @property
    def leak(self) -> Problem | None:
        """The sources that training and test share, if there are any."""
        return next((problem for problem in self.problems if problem.leaks), None)

    @property
    def layout(self) -> str:
        """The channels in words."""
        return {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")

    def line(self) -> str:
        """All of it in one line."""
        counts = " / ".join(map("{:,}".format, self.splits["mixtures"]))
        found = "; " + ", ".join(map(str, self.problems)) if self.problems else ""
        return (
            f"{counts} mixtures, {self.sample_rate:,} Hz, {self.layout},"
            f" {self.splits['shortest'].min():.1f}-{self.splits['longest'].max():.1f} s{found}"
        )

    def table(self) -> str:
        """A line for each split."""
        values = self.splits.assign(hours=self.splits["seconds"] / 3600)
        texts = DataFrame({name: values[name].map(form.format) for name, form in COLUMNS.items()})
        far = values["distance"]
        texts["off the sum"] = far.map("{:,.0f} LSB".format).where(far > 0, "<= 2 LSB")
        return texts.to_string(col_space=8)

    def places(self, most: int | None) -> str:
        """Every problem with its places, at most `most` of each; the serious ones first."""
        lines = []
        for problem in sorted(self.problems, key=lambda problem: not problem.serious):
            lines.append(f"{problem}{'' if problem.serious else ', which need not be a fault'}:")
            lines += [f"  {shown(place)}" for place in problem.places[:most]]
            left = len(problem.places) - len(problem.places[:most])
            lines += [f"  and {left:,} more"] if left else []
        return "\n".join(lines)


def check(
    store: Store,
    *,
    permute: bool = True,
    expected: Mapping[str, int | None] | None = None,
    progress: bool = True,
) -> Report:
    """Look at all of a store. Raises InputError for non-finite samples.

    permute: sources are alike, so that a silent one is a fault and not a singer's pause.
    expected: how many mixtures the splits should have, where that is known.
    """
    table = signal_table(store, signal_statistics(store, progress=progress))
    split = store.split(store.splits[0])
    return Report(
        store.sample_rate,
        split.channels,
        split.sources,
        len(split.targets) - split.sources,
        _by_split(table, store.sample_rate),
        tuple(find_problems(store, table, permute, expected or {})),
    )


def _by_split(table: DataFrame, sample_rate: int) -> DataFrame:
    """The splits of a `Report`."""
    signals = table.assign(
        silent=(table["kind"] == "source") & (table["peak"] < FAINT),
        clipped=table["clipped"] > 0,
        distance=table["distance"] / LSB,
    )
    lengths = table[table["kind"] == "mixture"].groupby("split", sort=False)["length"]
    splits = lengths.agg(mixtures="size", seconds="sum", shortest="min", longest="max")
    splits[["seconds", "shortest", "longest"]] /= sample_rate
    levels = {"peak": "max", "silent": "sum", "clipped": "sum", "distance": "max"}
    return splits.join(signals.groupby("split").agg(levels)).rename_axis(None)
