"""What is wrong with a corpus, or odd about it, as plain data and as text.

What can't be used at all (broken files, other rates, unequal lengths, a mixture that isn't the sum
of its signals or is in two splits) is refused when the store is made. Here is told what can be
used and perhaps should not be. It rests on `measures`, so a second look takes milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoclip_sep.data.checks import problems
from autoclip_sep.data.checks.problems import Finding, Measured
from autoclip_sep.data.checks.statistics import FAINT, measures
from autoclip_sep.data.store.reading import LSB, Store
from autoclip_sep.names import shown


@dataclass(frozen=True)
class Part:
    """One split in numbers: lengths in seconds, peak (full scale is 1), what was found how often.

    distance: between a mixture the store holds and the sum of its signals, at most, in LSB of 16
    bits; None where all are within 2.
    """

    name: str
    mixtures: int
    seconds: float
    shortest: float
    longest: float
    peak: float
    silent: int
    clipped: int
    distance: float | None


@dataclass(frozen=True)
class Report:
    """What a store holds, and what was found. others: signals of a mixture that are no sources."""

    sample_rate: int
    channels: int
    sources: int
    others: int
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def serious(self) -> bool:
        """Whether training or its scores would suffer."""
        return any(finding.serious for finding in self.findings)

    @property
    def leak(self) -> Finding | None:
        """The sources that training and test share, if there are any."""
        return next((finding for finding in self.findings if finding.leaks), None)

    @property
    def layout(self) -> str:
        """The channels in words."""
        return {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")

    def line(self) -> str:
        """All of it in one line."""
        counts = " / ".join(f"{part.mixtures:,}" for part in self.parts)
        shortest = min(part.shortest for part in self.parts)
        longest = max(part.longest for part in self.parts)
        found = "; ".join(["", ", ".join(map(str, self.findings))] if self.findings else [""])
        return (
            f"{counts} mixtures, {self.sample_rate:,} Hz, {self.layout},"
            f" {shortest:.1f}-{longest:.1f} s{found}"
        )

    def table(self) -> str:
        """A line for each split."""
        titles = ("mixtures", "hours", "shortest", "longest", "peak", "silent", "clipped")
        lines = ["      " + "".join(f"{title:>10}" for title in titles) + "   off the sum"]
        for part in self.parts:
            off = "<= 2 LSB" if part.distance is None else f"{part.distance:,.0f} LSB"
            values = (
                f"{part.mixtures:,}",
                f"{part.seconds / 3600:.2f}",
                f"{part.shortest:.2f} s",
                f"{part.longest:.2f} s",
                f"{part.peak:.3f}",
                f"{part.silent:,}",
                f"{part.clipped:,}",
            )
            row = "".join(f"{value:>10}" for value in values)
            lines.append(f"{part.name:6}{row}{off:>14}")
        return "\n".join(lines)

    def places(self, most: int | None) -> str:
        """Every finding with its places, at most `most` of each; the serious ones first."""
        lines = []
        for finding in sorted(self.findings, key=lambda finding: not finding.serious):
            lines.append(f"{finding}{'' if finding.serious else ', which need not be a fault'}:")
            lines += [f"  {shown(place)}" for place in finding.places[:most]]
            left = len(finding.places) - len(finding.places[:most])
            lines += [f"  and {left:,} more"] if left else []
        return "\n".join(lines)


def check(
    store: Store,
    *,
    permute: bool = True,
    expected: Mapping[str, int | None] | None = None,
    progress: bool = True,
) -> Report:
    """Look at all of a store. Raises InputError where its samples aren't finite.

    permute: sources are alike, so that a silent one is a fault and not a singer's pause.
    expected: how many mixtures the splits should have, where that is known.
    """
    measured = Measured(store, measures(store, progress=progress))
    split = store.split(store.splits[0])
    return Report(
        store.sample_rate,
        split.channels,
        split.sources,
        len(split.targets) - split.sources,
        tuple(_part(measured, name) for name in store.splits),
        tuple(problems.find(measured, permute, expected or {})),
    )


def _part(measured: Measured, name: str) -> Part:
    rows, lengths = measured.rows_of(name), measured.store.split(name).lengths
    rate = measured.store.sample_rate
    distance = float(rows["distance"].max()) / LSB
    return Part(
        name,
        len(rows),
        int(lengths.sum()) / rate,
        int(lengths.min()) / rate,
        int(lengths.max()) / rate,
        float(rows["peak"].max()),
        int((rows["peak"][:, measured.kinds["source"]] < FAINT).sum()),
        int((rows["clipped"] > 0).sum()),
        distance if distance > 0.0 else None,
    )
