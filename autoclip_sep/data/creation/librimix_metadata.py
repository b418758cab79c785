"""LibriMix's published metadata: which utterances a mixture has, and at which gains."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoclip_sep.data import _discovery as discovery
from autoclip_sep.errors import InputError
from autoclip_sep.names import check_name, path_below, shown
from autoclip_sep.text import read_table


@dataclass(frozen=True)
class Recipe:
    """One line of the metadata: a mixture's name, its utterances below LibriSpeech, their gains."""

    name: str
    utterances: tuple[str, ...]
    gains: tuple[float, ...]


def find_metadata(folder: Path, speakers: int) -> dict[str, Path]:
    """The published tables by subset (train-100, dev, ...), in a folder of them or of a clone.

    Raises InputError naming what was looked for and found.
    """
    inner = f"Libri{speakers}Mix"
    form = re.compile(rf"libri{speakers}mix_(?P<part>[a-z]+)-clean(?P<hours>-\d+)?\.csv")
    for place in (folder, folder / inner, folder / "metadata" / inner):
        names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        matches = [match for name in names if (match := form.fullmatch(name))]
        if matches:
            return {f"{m['part']}{m['hours'] or ''}": place / m.string for m in matches}
    raise InputError(
        f"metadata={folder}: no tables there, in {inner} or in metadata/{inner}; expected:"
        f" libri{speakers}mix_dev-clean.csv and so on, from the folder metadata/{inner} of"
        f" github.com/JorisCos/LibriMix; found: {discovery.contents(folder)}"
    )


def read_metadata(path: Path, speakers: int) -> list[Recipe]:
    """The mixtures of a published table.

    Raises InputError naming the line of what can't be read.
    """
    numbers = range(1, speakers + 1)
    columns = [f"source_{n}_{what}" for n in numbers for what in ("path", "gain")]
    recipes = []
    for number, row in read_mixtures(path, columns):
        where = f"{path}, line {number}"
        name = check_name(row["mixture_ID"], where)
        try:
            gains = tuple(float(row[f"source_{n}_gain"]) for n in numbers)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        if not np.isfinite(gains).all():
            raise InputError(f"{where}: the gains are {gains}")
        paths = (path_below(row[f"source_{n}_path"], where) for n in numbers)
        recipes.append(Recipe(name, tuple(paths), gains))
    return recipes


def read_mixtures(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with these columns and a mixture_ID of its own in each row, with lines.

    Raises InputError as `read_table` does, and for an identifier that another row has.
    """
    rows = read_table(path, ["mixture_ID", *columns])
    known = set[str]()
    for number, row in rows:
        if row["mixture_ID"] in known:
            name = shown(row["mixture_ID"])
            raise InputError(f"{path}, line {number}: a second mixture {name}")
        known.add(row["mixture_ID"])
    return rows
