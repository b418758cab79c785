"""Tables of scores, one row for each source of each item: those of runs, and of anybody else.

`<run>/evaluation/<split>.csv` holds SI-SDR, `<split>_<metric>.csv` another metric, the .json beside
it what the scores depend on. What was kept of a run has them in fewer digits, as .csv.gz.
"""

import gzip
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pandas import DataFrame, MultiIndex

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import some
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.config import Config

KEYS = ["item", "source"]
COUNTS = ["estimate", "frames", "silent"]  # columns that are no scores
NAMES = ["speakers", "genders"]  # columns of items' tables that are text, even if they look else
JOINED = " + "  # between the speakers of a mixture, and between their genders
BEFORE, GAIN = "_mixture", "_improvement"
IN_DB = re.compile(rf"((squim_)?si_sdr|snr|sdr|isr|sir|sar)({BEFORE}|{GAIN})?")
DIGITS = 5  # that are kept of a score: SI-SDR to 0.001 dB


def with_unit(metric: str) -> str:
    """A column of scores as a heading: `si_sdr [dB]`, or as it is where no unit is known."""
    return f"{metric} [dB]" if IN_DB.fullmatch(metric.rpartition(".")[2]) else metric


def read(path: Path) -> DataFrame:
    """The scores of a table: rows indexed by item and source, a column for each score.

    NaN where a score is undefined. Where the mixture's own score of a kind is there, as
    `si_sdr_mixture`, a column `si_sdr_improvement` is added. Names and counts are left out.
    Raises InputError for what is no table of scores.
    """
    rows = records.read(path)
    if missing := [key for key in KEYS if key not in rows[0]]:
        raise InputError(f"{path} is no table of scores: it has no column {' and '.join(missing)}")
    index = MultiIndex.from_tuples([(row["item"], row["source"]) for row in rows], names=KEYS)
    table = DataFrame(index=index)
    for column in sorted(rows[0].keys() - {*KEYS, *COUNTS}):
        with suppress(ValueError):  # names
            table[column] = [float(row[column] or "nan") for row in rows]
    for column in [str(name) for name in table if f"{name}{BEFORE}" in table]:
        table[f"{column}{GAIN}"] = table[column] - table[f"{column}{BEFORE}"]
    return table


def read_items(path: Path) -> DataFrame:
    """The table of a split's items, see evaluation/attributes.py: indexed by item.

    Numbers are floats, NaN where unknown; anything else is text. Raises InputError for what is no
    such table.
    """
    rows = records.read(path)
    if "item" not in rows[0]:
        raise InputError(f"{path} is no table of items: it has no column item")
    table = DataFrame(rows, dtype=object).set_index("item")
    if not table.index.is_unique:
        raise InputError(f"{path}: {some([*table.index[table.index.duplicated()]])} is there twice")
    for column in [name for name in table if name not in NAMES]:
        with suppress(ValueError):
            table[column] = [float(value or "nan") for value in table[column]]
    return table


def tables(place: Path, split: str = "test") -> dict[str, Path]:
    """The tables of scores of a run, or in a folder, by metric; <split>.csv is of SI-SDR."""
    folder = place / "evaluation" if (place / "evaluation").is_dir() else place
    found: dict[str, Path] = {}
    for ending in (".csv.gz", ".csv"):  # a whole table rather than what was kept of it
        for path in sorted(folder.glob(f"*{ending}")):
            name, _, metric = path.name.removesuffix(ending).partition(split)
            if not name and metric[:1] in ("", "_") and {*KEYS} <= {*records.header(path)}:
                found[metric[1:] or "si_sdr"] = path
    return found


def scores(place: Path, metric: str, split: str = "test") -> tuple[DataFrame, Path]:
    """One column of a run's scores, or of a table's, and the table that it is from.

    metric: a column, or `<metric>.<column>` where several tables have one of that name.
    Raises InputError where there is none, naming those there are.
    """
    found = {_metric(place, split): place} if place.is_file() else tables(place, split)
    if not found:
        raise InputError(f"{place} has no scores of {split}: evaluate.py run={place} makes them")
    table, _, column = metric.rpartition(".")
    needed = {column, column.removesuffix(GAIN)}
    read_in = {
        name: read(path) for name, path in found.items()
        if table in ("", name) and needed & {*records.header(path)}
    }  # fmt: skip
    having = [name for name, values in read_in.items() if column in values]
    if len(having) > 1:
        names = " or ".join(f"metric={name}.{column}" for name in having)
        raise InputError(f"metric={metric}: {place} has several of that name: {names}")
    if not having:
        known = sorted({str(name) for path in found.values() for name in read(path)})
        raise InputError(f"metric={metric}: {place} has no such scores; it has {some(known, 20)}")
    values, path = read_in[having[0]][[column]], found[having[0]]
    if note(path).keys() == {"provenance"} and values.notna().to_numpy().any():
        raise InputError(f"{path} is incomplete: call what scores it once more, it goes on there")
    return values, path


def _metric(table: Path, split: str) -> str:
    """What a table is of by its name, as for `tables`; a table of any other name is of SI-SDR."""
    name, _, metric = table.name.removesuffix(".gz").removesuffix(".csv").partition(f"{split}_")
    return "si_sdr" if name or not metric else metric


def note(table: Path) -> Config:
    """The .json beside a table: provenance, what its scores depend on, and, once it is complete,
    their summary. Empty where there is none.
    """
    types = {"provenance": Mapping[str, Any], "summary": Mapping[str, Any]}
    return run_directory.read_json(note_path(table), **types)


def note_path(table: Path) -> Path:
    """Where the note of a table lies."""
    return table.with_name(table.name.removesuffix(".gz")).with_suffix(".json")


def corpus(table: Path) -> str:
    """The fingerprint of what a table's scores are of; empty where that isn't known."""
    return str(note(table).get("provenance", {}).get("fingerprint", ""))


def weights(table: Path) -> str:
    """Which weights of a run a table's scores are of, best or last; empty where it is no run's."""
    checkpoint = str(note(table).get("provenance", {}).get("checkpoint", ""))
    return checkpoint.partition("-")[0]


def keep(source: Path, folder: Path) -> None:
    """Write what is worth keeping of a table into a folder, as <name>.csv.gz: scores in few digits.

    Counts, and which estimate belongs to a source, are left out. The same table gives the same
    bytes. A whole table of that name in the folder, kept earlier, is deleted.
    """
    rows = records.read(source)
    columns = [key for key in rows[0] if key not in KEYS and _is_score(rows, key)]
    lines = [records.csv_line([*KEYS, *columns])]
    for row in rows:
        short = [f"{float(row[column] or 'nan'):.{DIGITS}g}" for column in columns]
        lines.append(records.csv_line([*(row[key] for key in KEYS), *short]))
    content = "".join(lines).encode("utf-8", "surrogateescape")
    target = folder / source.name.removesuffix(".gz")
    write_whole(target.with_name(f"{target.name}.gz"), gzip.compress(content, mtime=0))
    target.unlink(missing_ok=True)


def _is_score(rows: list[records.Row], column: str) -> bool:
    """Whether a column holds numbers that aren't all counts."""
    try:
        [float(row[column] or "nan") for row in rows]
    except ValueError:
        return False
    return not all(row[column].isdecimal() for row in rows)
