"""Scores of one run, of runs that differ in their seed, or of tables of anybody's estimates."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pandas import DataFrame, concat

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown, some
from autoclip_sep.runs import run_directory, scores
from autoclip_sep.runs.run_directory import seedless


@dataclass(frozen=True)
class Group:
    """What is compared as one.

    table: rows indexed by item and source, a column for each seed, or for each table that has
    none, under its path. places: of the runs or tables, in the order of the columns. corpora: the
    fingerprints of what was scored, and weights: best or last, both where that is known.
    """

    table: DataFrame
    places: Sequence[Path]
    corpora: frozenset[str]
    weights: frozenset[str] = frozenset()

    @property
    def each(self) -> str:
        """What a column is of: "seed" of a run, "table" of somebody's scores that name none."""
        return "seed" if all(map(_is_run, self.places)) else "table"


def find(where: str) -> list[Path]:
    """The runs and tables that a path, or a pattern with * and ?, names.

    A folder that is no run stands for all runs below it. Raises InputError where there is none, and
    for runs that differ in more than their seed.
    """
    places = (
        [Path(where)]
        if Path(where).exists()
        else [Path(path) for path in sorted(glob.glob(where, recursive=True))]
    )
    found: list[Path] = []
    for place in places:
        below = [path.parent for path in sorted(place.rglob("seed*/config.yaml"))]
        alone = place.is_file() or _is_run(place) or not below
        found += [place] if alone else below
    if not found:
        raise InputError(f"{where}: there is no such run, folder or table")
    runs = [place for place in found if _is_run(place)]
    if len(names := sorted({seedless(run) for run in runs})) > 1:
        raise InputError(
            f"{where}: runs that differ in more than their seed: {some(names)}: a pattern"
            " such as a='FOLDER/seed?' names some of them"
        )
    return found


def gather(
    places: Sequence[Path], metric: str, split: str = "test", *, common: bool = False
) -> Group:
    """The scores of runs that differ in their seed only, or of tables.

    common: whether only the items that all have are taken, where they aren't the same.
    Raises InputError where one isn't scored by this metric, two have the same seed, or they scored
    different items or corpora, or the best weights of one and the last of another.
    """
    columns: dict[str, DataFrame] = {}
    corpora, weights = set[str](), set[str]()
    for place in places:
        table, path = scores.scores(place, metric, split)
        column = _seed(place)
        if column in columns:
            what = f"another run of seed {column}" if _is_run(place) else "the same table"
            raise InputError(f"{place}: {what} is in the same group")
        if not table.index.is_unique:
            twice = " ".join(table.index[table.index.duplicated()][0])
            raise InputError(f"{path}: {shown(twice)} is scored twice")
        columns[column] = table
        corpora |= {scores.corpus(path)} - {""}
        weights |= {scores.weights(path)} - {""}
    _check_weights(weights)
    if not common:
        _check_same(places, list(columns.values()), corpora)
    joined = concat([one.iloc[:, 0] for one in columns.values()], axis=1, join="inner")
    return Group(
        joined.set_axis([*columns], axis=1), places, frozenset(corpora), frozenset(weights)
    )


def alike(a: Group, b: Group, *, common: bool = False) -> tuple[DataFrame, DataFrame]:
    """The tables of two groups, with the same rows.

    common: whether the items that both have are taken, where they aren't the same. Raises
    InputError where they aren't the same, or there are none in common.
    """
    _check_weights(a.weights | b.weights)
    if not common:
        _check_same([a.places[0], b.places[0]], [a.table, b.table], a.corpora | b.corpora)
    rows = a.table.index.intersection(b.table.index)
    if rows.empty:
        raise InputError(f"{a.places[0]} and {b.places[0]} have no item in common")
    return a.table.loc[rows], b.table.loc[rows]


def _check_weights(weights: set[str] | frozenset[str]) -> None:
    if len(weights) > 1:
        raise InputError(
            f"scores of different weights ({' and '.join(sorted(weights))}): evaluate all runs by"
            " the same checkpoint="
        )


def _check_same(
    places: Sequence[Path], tables: Sequence[DataFrame], corpora: set[str] | frozenset[str]
) -> None:
    advice = "common=true compares the items of the same names"
    for place, table in zip(places, tables, strict=True):
        alone = tables[0].index.symmetric_difference(table.index)
        if len(alone):
            raise InputError(
                f"{places[0]} and {place} have {len(alone)} scores that the other hasn't, such as"
                f" {shown(' '.join(alone[0]))}: {advice}"
            )
    if len(corpora) > 1:
        named = ", ".join(sorted(one[:12] for one in corpora))
        raise InputError(f"scores of different corpora ({named}): {advice}")


def _is_run(place: Path) -> bool:
    return (place / "config.yaml").is_file()


def _seed(place: Path) -> str:
    if _is_run(place):
        return str(run_directory.read_config(place)["seed"])
    return str(place)
