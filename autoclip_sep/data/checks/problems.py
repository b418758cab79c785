"""What may be wrong with a store's sounds, found in their measures, with the files it is in."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.data.checks._utterances import named_in
from autoclip_sep.data.checks.statistics import FAINT, Rows
from autoclip_sep.data.store.reading import Store

OFFSET = 0.05  # of full scale: a mean this far from zero is a fault of the recording
PAIRS = (("train", "test"), ("train", "valid"), ("valid", "test"))
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One kind of fault, and every place where it is, in words.

    what: with {s} where the plural has its s. serious: training or its scores suffer from it.
    leaks: what is tested was heard in training.
    """

    what: str
    places: tuple[str, ...]
    serious: bool = False
    leaks: bool = False

    def __str__(self) -> str:
        number = len(self.places)
        return f"{number:,} {self.what.replace('{s}', '' if number == 1 else 's')}"


@dataclass(frozen=True)
class Fault:
    """What can be wrong with a sound by itself.

    of: from measures to which have it. how: from one row to words. serious: for what is trained on.
    """

    what: str
    of: Callable[[Rows], Flags]
    how: Callable[[np.void], str]
    serious: bool = False


FAULTS = (
    Fault("silent {kind}{s}", lambda rows: rows["peak"] < FAINT, lambda row: _loudness(row), True),
    Fault(
        "clipped {kind}{s}",
        lambda rows: rows["clipped"] > 0,
        lambda row: f"{row['clipped']:,} samples at full scale",
    ),
    Fault(
        "{kind}{s} off centre",
        lambda rows: rows["dc"] > OFFSET,
        lambda row: f"its mean is {row['dc']:.2f} of full scale",
    ),
)


class Measured:
    """A store, its `measures`, and the names of what was measured.

    rows: (mixtures, signals + 1), all splits one after the other. kinds: which of the columns are
    sources, noise, and the mixture, each (signals + 1,).
    """

    def __init__(self, store: Store, rows: Rows) -> None:
        self.store, self.rows = store, rows
        self.names = [(name, item) for name in store.splits for item in store.split(name).items]
        ends = np.cumsum([len(store.split(name)) for name in store.splits]).tolist()
        self.spans = {
            name: range(begin, end)
            for name, begin, end in zip(store.splits, [0, *ends], ends, strict=False)
        }
        targets = store.split(store.splits[0]).targets
        self.kinds: dict[str, Flags] = {
            "source": np.append(targets, False),
            "noise": np.append(~targets, False),
            "mixture": np.append(np.zeros_like(targets), True),
        }

    def utterances_of(self, split: str) -> dict[tuple[int, int], str]:
        """What the mixtures' names say was said, by item of all splits and column."""
        columns = np.flatnonzero(self.kinds["source"]).tolist()
        return {
            (item, column): utterance
            for item in self.spans[split]
            for column, utterance in zip(columns, named_in(self.names[item][1]), strict=False)
        }

    def rows_of(self, split: str) -> Rows:
        """A split's rows."""
        span = self.spans[split]
        return self.rows[span.start : span.stop]

    def name(self, item: int, column: int) -> str:
        """The file of a sound; its mixture's name and its number where files aren't known."""
        split, name = self.names[item]
        mixture = bool(self.kinds["mixture"][column])
        if not self.store.files:
            return f"{split} {name}" + ("" if mixture else f", signal {column + 1}")
        file = self.store.files[item]
        if mixture:
            return str(file.mixture or f"{split} {name}")
        signal = file.signals[column]
        return f"{signal.path}" + ("" if signal.stream is None else f", stream {signal.stream}")


def find(measured: Measured, permute: bool, expected: Mapping[str, int | None]) -> list[Finding]:
    """Everything that was found; the arguments are those of `check.check`."""
    found = [
        *_shared_sounds(measured),
        *_faults(measured, permute),
        _same_sources(measured),
        _twice(measured),
        _miscounted(measured, expected),
    ]
    return [finding for finding in found if finding.places]


def _shared_sounds(measured: Measured) -> Iterator[Finding]:
    """The same samples in two splits, whatever their files are called, and the same utterances."""
    sources = measured.kinds["source"]
    for one, other in PAIRS:
        if one not in measured.spans or other not in measured.spans:
            continue
        first, second = (measured.rows_of(name)["digest"] for name in (one, other))
        shared: dict[bool, list[str]] = {True: [], False: []}  # by whether it is a source in both
        told: set[tuple[int, int]] = set()
        known: dict[tuple[int, bool], tuple[int, int]] = {}
        for item, column in _where(first, second):
            place = measured.spans[one][item], column
            known.setdefault((int(first[item, column]), bool(sources[column])), place)
        for item, column in _where(second, first):
            digest, is_source = int(second[item, column]), bool(sources[column])
            place = known.get((digest, is_source)) or known[digest, not is_source]
            both = is_source and bool(sources[place[1]])
            here = measured.spans[other][item], column
            shared[both].append(f"{measured.name(*here)} = {measured.name(*place)}")
            told |= {here} if both else set()
        for here, utterance, place in _same_utterances(measured, one, other):
            if here not in told:
                what = f"{measured.name(*here)} = {measured.name(*place)}"
                shared[True].append(f"{what}, utterance {utterance} by their names")
        leaks = (one, other) == ("train", "test")
        where = f"shared by {one} and {other}"
        yield Finding(f"source{{s}} {where}", tuple(shared[True]), serious=leaks, leaks=leaks)
        yield Finding(f"noise{{s}} {where}", tuple(shared[False]))


def _same_utterances(
    measured: Measured, one: str, other: str
) -> Iterator[tuple[tuple[int, int], str, tuple[int, int]]]:
    """Sources of `other` whose utterance is in `one`, too; at another level it is other samples."""
    known: dict[str, tuple[int, int]] = {}
    for place, utterance in measured.utterances_of(one).items():
        known.setdefault(utterance, place)
    for here, utterance in measured.utterances_of(other).items():
        if utterance in known:
            yield here, utterance, known[utterance]


def _where(digests: NDArray[np.uint64], others: NDArray[np.uint64]) -> list[list[int]]:
    """Item and column of each sound of a split that the other split has, too."""
    found: list[list[int]] = np.argwhere(np.isin(digests, others) & (digests != 0)).tolist()
    return found


def _faults(measured: Measured, permute: bool) -> Iterator[Finding]:
    """What is wrong with single sounds. Noise may be silent, and one of several instruments."""
    for fault in FAULTS:
        flags = fault.of(measured.rows)
        for kind, columns in measured.kinds.items():
            places = tuple(
                f"{measured.name(item, column)}: {fault.how(measured.rows[item, column])}"
                for item, column in np.argwhere(flags & columns).tolist()
            )
            matters = kind == "mixture" or (kind == "source" and permute)
            what = fault.what.replace("{kind}", kind)
            yield Finding(what, places, serious=fault.serious and matters)


def _same_sources(measured: Measured) -> Finding:
    digests = np.sort(measured.rows["digest"][:, measured.kinds["source"]], axis=1)
    same = ((digests[:, 1:] == digests[:, :-1]) & (digests[:, 1:] != 0)).any(axis=1)
    places = tuple(measured.name(item, -1) for item in np.flatnonzero(same).tolist())
    return Finding("mixture{s} with the same sound as two sources", places, serious=True)


def _twice(measured: Measured) -> Finding:
    """The same signals under two names. The same files in two splits would have been refused."""
    signals = measured.rows["digest"][:, :-1]
    known: dict[bytes, int] = {}
    places = []
    for item in np.flatnonzero(signals.any(axis=1)).tolist():
        other = known.setdefault(signals[item].tobytes(), item)
        if other != item:
            places.append(f"{measured.name(item, -1)} = {measured.name(other, -1)}")
    return Finding("mixture{s} that another one repeats", tuple(places))


def _miscounted(measured: Measured, expected: Mapping[str, int | None]) -> Finding:
    counts = {name: len(span) for name, span in measured.spans.items()}
    places = tuple(
        f"{name}: {counts.get(name, 0):,} mixtures, {number:,} expected"
        for name, number in expected.items()
        if number is not None and counts.get(name, 0) != number
    )
    return Finding("split{s} with more or fewer mixtures than expected", places)


def _loudness(row: np.void) -> str:
    peak = float(row["peak"])
    if peak == 0.0:
        return "nothing but zeros"
    return f"its peak is {20 * math.log10(peak):.0f} dB of full scale"
