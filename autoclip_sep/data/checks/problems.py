"""What may be wrong with a store's signals, found in their statistics, with the files it is in."""

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pandas import DataFrame

from autoclip_sep.data.checks._utterances import named_in
from autoclip_sep.data.checks.statistics import FAINT, Rows
from autoclip_sep.data.store.reading import Store

DC_OFFSET = 0.05  # of full scale: a mean this far from zero is a fault of the recording
PAIRS = (("train", "test"), ("train", "valid"), ("valid", "test"))


@dataclass(frozen=True)
class Problem:
    """One kind of problem, and every place where it is, in words.

    what: with {s} where the plural has its s. serious: training or its scores suffer from it.
    leaks: the test set holds what was trained on.
    """

    what: str
    places: tuple[str, ...]
    serious: bool = False
    leaks: bool = False

    def __str__(self) -> str:
        number = len(self.places)
        return f"{number:,} {self.what.replace('{s}', '' if number == 1 else 's')}"


def signal_table(store: Store, statistics: Rows) -> DataFrame:
    """The statistics as a table: a row per signal of each mixture, and one for the mixture itself.

    Beside them: split, name and number of the mixture, its length in samples, the signal's number,
    kind (source, noise, mixture), and utterance ("" where the mixture's name doesn't have it).
    """
    mixtures, signals = statistics.shape
    splits = [store.split(name) for name in store.splits]
    targets = splits[0].targets
    names = [name for split in splits for name in split.items]
    sources = np.flatnonzero(targets)
    utterances = np.full(statistics.shape, "", dtype=object)
    for row, name in zip(utterances, names, strict=True):
        spoken = named_in(name)[: len(sources)]
        row[sources[: len(spoken)]] = spoken
    return DataFrame(statistics.ravel()).assign(
        split=np.repeat(list(store.splits), [signals * len(split) for split in splits]),
        name=np.repeat(names, signals),
        mixture=np.repeat(np.arange(mixtures), signals),
        length=np.repeat(np.concatenate([split.lengths for split in splits]), signals),
        signal=np.tile(np.arange(signals), mixtures),
        kind=np.tile([*np.where(targets, "source", "noise"), "mixture"], mixtures),
        utterance=utterances.ravel(),
    )


def find_problems(
    store: Store, table: DataFrame, permute: bool, expected: Mapping[str, int | None]
) -> list[Problem]:
    """Everything that was found in a `signal_table`; see `report.check`."""
    mixtures = table[table["kind"] == "mixture"]
    found = [
        *_shared(store, table),
        *_faulty(store, table, permute),
        _same_sources(store, table, mixtures),
        _repeated(store, table, mixtures),
        _miscounted(mixtures, expected),
    ]
    return [problem for problem in found if problem.places]


def _places(store: Store, rows: DataFrame) -> Iterator[str]:
    """The file of each row's signal; its mixture's name and its number where files are unknown."""
    for row in rows.to_dict("records"):
        mixture = f"{row['split']} {row['name']}"
        if not store.files:
            yield mixture if row["kind"] == "mixture" else f"{mixture}, signal {row['signal'] + 1}"
        elif row["kind"] == "mixture":
            yield str(store.files[row["mixture"]].mixture or mixture)
        else:
            signal = store.files[row["mixture"]].signals[row["signal"]]
            stream = "" if signal.stream is None else f", stream {signal.stream}"
            yield f"{signal.path}{stream}"


def _shared(store: Store, table: DataFrame) -> Iterator[Problem]:
    """The same samples in two splits, whatever their files are called, and the same utterances."""
    for one, other in PAIRS:
        first, second = (table[table["split"] == split] for split in (one, other))
        sounds = _in_both(first, second, "digest")
        sources = (sounds["kind"] == "source") & (sounds["kind_there"] == "source")
        # At another level the same utterance is other samples.
        spoken = _in_both(first, second, "utterance")
        spoken = spoken[~spoken["row"].isin(sounds["row"][sources])]

        def equal(pairs: DataFrame) -> list[str]:
            here, there = (
                _places(store, table.loc[pairs[column]]) for column in ("row", "row_there")
            )
            return [f"{place} = {same}" for place, same in zip(here, there, strict=True)]

        by_name = [
            f"{pair}, utterance {utterance} by their names"
            for pair, utterance in zip(equal(spoken), spoken["utterance"], strict=True)
        ]
        leaks = (one, other) == ("train", "test")
        where = f"shared by {one} and {other}"
        places = tuple(equal(sounds[sources]) + by_name)
        yield Problem(f"source{{s}} {where}", places, serious=leaks, leaks=leaks)
        yield Problem(f"noise{{s}} {where}", tuple(equal(sounds[~sources])))


def _in_both(first: DataFrame, second: DataFrame, key: str) -> DataFrame:
    """Rows of the second split whose key the first has, too: a signal of the same kind, if any."""
    first, second = (
        split.loc[split[key].astype(bool), [key, "kind"]].rename_axis("row").reset_index()
        for split in (first, second)
    )
    pairs = second.merge(
        first.drop_duplicates([key, "kind"]), on=key, suffixes=("", "_there")
    ).assign(other_kind=lambda pair: pair["kind"] != pair["kind_there"])
    return pairs.sort_values(["row", "other_kind"]).drop_duplicates("row")


def _faulty(store: Store, table: DataFrame, permute: bool) -> Iterator[Problem]:
    """What is wrong with single signals. Noise may be silent, and one of several instruments."""
    silent, offset = table["peak"] < FAINT, table["dc"] > DC_OFFSET
    for what, faulty, describe in (
        ("silent {kind}{s}", silent, _loudness),
        ("clipped {kind}{s}", table["clipped"] > 0, "{clipped:,} samples at full scale".format_map),
        ("{kind}{s} with a DC offset", offset, "its mean is {dc:.2f} of full scale".format_map),
    ):
        for kind in ("source", "noise", "mixture"):
            rows = table[faulty & (table["kind"] == kind)]
            places = tuple(
                f"{place}: {describe(row)}"
                for place, row in zip(_places(store, rows), rows.to_dict("records"), strict=True)
            )
            matters = kind == "mixture" or (kind == "source" and permute)
            serious = faulty is silent and matters
            yield Problem(what.replace("{kind}", kind), places, serious)


def _loudness(row: Mapping[Hashable, Any]) -> str:
    if row["peak"] == 0.0:
        return "nothing but zeros"
    return f"its peak is {20 * math.log10(row['peak']):.0f} dBFS"


def _same_sources(store: Store, table: DataFrame, mixtures: DataFrame) -> Problem:
    sources = table[(table["kind"] == "source") & (table["digest"] != 0)]
    twice = sources[sources.duplicated(["mixture", "digest"])]
    rows = mixtures[mixtures["mixture"].isin(twice["mixture"])]
    what = "mixture{s} with the same signal as two sources"
    return Problem(what, tuple(_places(store, rows)), serious=True)


def _repeated(store: Store, table: DataFrame, mixtures: DataFrame) -> Problem:
    """The same signals under two names. The same files in two splits would have been refused."""
    digests = table["digest"].to_numpy().reshape(len(mixtures), -1)
    _, firsts, groups = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    first = firsts[groups.ravel()]
    again = np.flatnonzero((first != np.arange(len(first))) & digests.any(axis=1))
    here, there = (_places(store, mixtures.iloc[which]) for which in (again, first[again]))
    places = (f"{place} = {same}" for place, same in zip(here, there, strict=True))
    return Problem("duplicate{s} of another mixture", tuple(places))


def _miscounted(mixtures: DataFrame, expected: Mapping[str, int | None]) -> Problem:
    counts = mixtures["split"].value_counts()
    places = tuple(
        f"{split}: {counts.get(split, 0):,} mixtures, {number:,} expected"
        for split, number in expected.items()
        if number is not None and counts.get(split, 0) != number
    )
    return Problem("split{s} with more or fewer mixtures than expected", places)
