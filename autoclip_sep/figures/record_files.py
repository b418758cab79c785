"""Record files as figures read them: dynamics.csv, history.csv and others of numbers only."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records

Series = NDArray[np.float64]

Columns = dict[str, Series]

COUNTED = {"step", "epoch"}  # columns of integers


class Table(Columns):
    """The columns of a record file; asking for one that it doesn't have raises InputError."""

    def __init__(self, path: Path, content: Mapping[str, Series]) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, key: str) -> Series:
        raise InputError(f"{self._path} has no column {key}: not the records of a run")


def columns(path: Path) -> Columns:
    """A record file by column.

    Raises InputError where it isn't there, is empty, or holds something other than numbers.
    """
    try:
        table = DataFrame(records.read(path), dtype=object).astype(np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {error}: not the records of a run") from error
    for key in COUNTED & set(table):
        if not table[key].between(1, 2**53 - 1).all() or (table[key] % 1).any():
            raise InputError(f"{path}: {key} must be an integer from 1 in every row: not a run's")
    return Table(path, {str(key): table[key].to_numpy(copy=True) for key in table})
