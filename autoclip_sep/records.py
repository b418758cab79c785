"""Append-only CSV files that survive a crash.

Every row is handed to the operating system as it is written, so a killed process loses none; a line
that a power cut left half-written is dropped when the file is next opened. Floats are written with
``repr``, which reads back to the same bits.
"""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.files import sync, write_whole

Row = dict[str, str]


def _whole_lines(path: Path) -> str:
    """The file's text without a last line that was never finished.

    Raises InputError where it is no text.
    """
    content = path.read_bytes()
    try:
        return content[: content.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged at byte {error.start}: move it away") from error


def read(path: str | os.PathLike[str]) -> list[Row]:
    """All whole rows of a record file, as text by column name.

    Raises InputError where there is no such file, or nothing in it, or no text.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no records at {path}: train the run first")
    rows = list(csv.DictReader(io.StringIO(_whole_lines(path))))
    if not rows:
        raise InputError(f"{path} holds no rows yet")
    return rows


def _line(values: Sequence[object]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # with "\n" it wouldn't quote a "\r"
    writer.writerow([repr(float(value)) if isinstance(value, float) else value for value in values])
    return text.getvalue().removesuffix("\r\n") + "\n"


class Records:
    """A CSV file with fixed columns, opened for appending.

    Raises InputError where the file exists with other columns, or is no text.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self.path = Path(path)
        self.columns = tuple(columns)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mend()
        self._file = self.path.open("a", encoding="utf-8", newline="")

    def _mend(self) -> None:
        header = _line(self.columns)
        text = _whole_lines(self.path) if self.path.exists() else ""
        if not text:
            write_whole(self.path, header.encode())
        elif not text.startswith(header):
            found = text.split("\n", 1)[0]
            raise InputError(f"{self.path} has the columns {found}, not {header.strip()}: move it")
        elif len(text.encode()) != self.path.stat().st_size:
            write_whole(self.path, text.encode())

    def append(self, row: Mapping[str, object]) -> None:
        """Write one row. A value for every column, no more: KeyError otherwise."""
        if set(row) != set(self.columns):
            raise KeyError(f"{self.path.name}: {sorted(set(row) ^ set(self.columns))}")
        self._file.write(_line([row[column] for column in self.columns]))
        self._file.flush()

    def rows(self) -> list[Row]:
        """The rows so far, as text by column name."""
        return list(csv.DictReader(io.StringIO(_whole_lines(self.path))))

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop the rows that are not wanted: those written after the checkpoint resumed from."""
        kept = [row for row in self.rows() if wanted(row)]
        lines = [_line([row[column] for column in self.columns]) for row in kept]
        self._file.close()
        write_whole(self.path, "".join([_line(self.columns), *lines]).encode())
        self._file = self.path.open("a", encoding="utf-8", newline="")

    def sync(self) -> None:
        """Wait until every row is on the disk.

        Raises InputError where the file is no longer at its path.
        """
        self._file.flush()
        sync(self._file.fileno())
        there = self.path.exists() and os.path.samestat(
            os.stat(self.path), os.fstat(self._file.fileno())
        )
        if not there:
            raise InputError(f"{self.path} was deleted or replaced while it was written to")

    def close(self) -> None:
        """Close the file; further rows are an error."""
        self._file.close()
