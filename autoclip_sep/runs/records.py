"""Append-only CSV files that survive a crash.

Every row is handed to the operating system as it is written, so a killed process loses none. A line
that a power cut left incomplete, or a damaged one, is dropped when the file is next opened.
Floats are written with ``repr``, which reads back to the same bits. What was kept of a run may be
compressed (.csv.gz): it is read alike.
"""

import csv
import gzip
import io
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from autoclip_sep.errors import InputError
from autoclip_sep.files import sync, write_whole

Row = dict[str, str]
LONGEST = 10  # lines of a row: names may contain line breaks
LARGEST = 2**28  # bytes that a compressed file may come to


def _whole_lines(path: Path) -> str:
    """The file's text without an incomplete last line; names may be in any encoding."""
    content = _unpacked(path) if path.suffix == ".gz" else path.read_bytes()
    return content[: content.rfind(b"\n") + 1].decode("utf-8", "surrogateescape")


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: can't be unpacked ({error})") from error
    if len(content) > LARGEST:
        raise InputError(f"{path}: more than {LARGEST // 2**20} MiB when unpacked: no records")
    return content


def _rows(text: str, width: int | None = None) -> Iterator[tuple[int, str, list[str] | None]]:
    """Each row's line number, text and cells; None for cells where there aren't `width` of them.

    width: None for that of the first row, the header.
    """
    lines = io.StringIO(text).readlines()
    number = 0
    while number < len(lines):
        for end in range(number + 1, min(number + LONGEST, len(lines)) + 1):
            chunk = "".join(lines[number:end])
            cells = _cells(chunk)
            if cells is not None and width in (None, len(cells)):
                break
        else:
            end, chunk, cells = number + 1, lines[number], None
        width = width or len(cells or [])
        if chunk.strip():
            yield number + 1, chunk, cells
        number = end


def _cells(chunk: str) -> list[str] | None:
    """The cells of one row; None where the text isn't a row."""
    try:
        (cells,) = csv.reader([chunk], strict=True)
    except (csv.Error, ValueError):  # a cell that is too long; an unclosed quotation mark
        return None
    return None if "\0" in chunk else cells


def read(path: str | os.PathLike[str]) -> list[Row]:
    """All complete rows of a record file, as strings by column name.

    Raises InputError where the file is missing or has no rows, or a row is damaged.
    """
    path = _existing(path)
    found = list(_rows(_whole_lines(path)))
    for line, _, cells in found:
        if cells is None:
            raise InputError(f"{path}, line {line} is damaged: delete it, or move the file away")
    if len(found) < 2:
        raise InputError(f"{path} holds no rows yet")
    (_, _, header), *rows = found
    return [dict(zip(header or [], cells or [], strict=True)) for _, _, cells in rows]


def header(path: str | os.PathLike[str]) -> list[str]:
    """The columns of a record file, which may have no rows yet.

    Raises InputError where the file is missing or empty.
    """
    path = _existing(path)
    for _, _, cells in _rows(_whole_lines(path)):
        return cells or []
    raise InputError(f"{path} is empty")


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no records at {path}: train the run first")
    return path


def csv_line(values: Sequence[object]) -> str:
    """One row as text, its line end included."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # with "\n" it wouldn't quote a "\r"
    writer.writerow([repr(float(value)) if isinstance(value, float) else value for value in values])
    return text.getvalue().removesuffix("\r\n") + "\n"


class Records:
    """A CSV file with fixed columns, opened for appending.

    Damaged rows are dropped with one line on stderr, and the original file is kept beside it.
    Raises InputError where the file exists with other columns.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self.path = Path(path)
        self.columns = tuple(columns)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._repair()
        self._file = self._opened()

    def _repair(self) -> None:
        header = csv_line(self.columns)
        if not self.path.exists():
            write_whole(self.path, header.encode())
        text = _whole_lines(self.path)
        if not text:  # an incomplete header, or foreign content
            self._write([header], [] if header.encode().startswith(self.path.read_bytes()) else [1])
            return
        first = text.split("\n", 1)[0].rstrip("\r")
        # A lost first disk block is not another header; the rows after it are whole.
        if first.isprintable() and f"\n{header}" not in f"\n{text}":
            raise InputError(
                f"{self.path} has the columns {first[:200]}, not {header.strip()}: move it"
            )
        rows = [row for row in _rows(text, len(self.columns)) if row[1] != header]
        damaged = [line for line, _, cells in rows if cells is None or line == 1]
        kept = [chunk for line, chunk, cells in rows if cells is not None and line > 1]
        self._write([header, *kept], damaged)

    def _write(self, chunks: Sequence[str], damaged: Sequence[int]) -> None:
        """Replace the file by these rows; damaged: the line numbers of dropped ones."""
        before = self.path.read_bytes()
        if damaged:
            aside = self._unused_name()
            write_whole(aside, before)
            rows = "row" if len(damaged) == 1 else "rows"
            print(
                f"{self.path}: dropped {len(damaged)} damaged {rows}, from line {damaged[0]} on; "
                f"{aside.name} is the original file",
                file=sys.stderr,
            )
        content = "".join(chunks).encode("utf-8", "surrogateescape")
        if content != before:
            write_whole(self.path, content)

    def _unused_name(self) -> Path:
        """A name for the damaged file; earlier ones are kept, since they may hold rows, too."""
        numbers = itertools.chain([""], itertools.count(2))
        names = (f"{self.path.name}.damaged{number}" for number in numbers)
        return next(p for name in names if not (p := self.path.with_name(name)).exists())

    def append(self, row: Mapping[str, object]) -> None:
        """Write one row; raises KeyError unless it has exactly the file's columns."""
        if set(row) != set(self.columns):
            raise KeyError(f"{self.path.name}: {sorted(set(row) ^ set(self.columns))}")
        self._file.write(csv_line([row[column] for column in self.columns]))
        self._file.flush()

    def rows(self) -> list[Row]:
        """The rows so far, as strings by column name."""
        _, *rows = _rows(_whole_lines(self.path))
        return [self._named(cells) for _, _, cells in rows]

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Drop unwanted rows, such as those written after the checkpoint that is resumed from.

        A row on which `wanted` raises ValueError, TypeError or ArithmeticError is damaged and
        dropped, too.
        """
        (_, header, _), *rows = _rows(_whole_lines(self.path))
        kept, damaged = [header], []
        for line, chunk, cells in rows:
            try:
                kept += [chunk] if wanted(self._named(cells)) else []
            except (ArithmeticError, TypeError, ValueError):
                damaged.append(line)
        self._file.close()
        self._write(kept, damaged)
        self._file = self._opened()

    def _named(self, cells: Sequence[str] | None) -> Row:
        return dict(zip(self.columns, cells or [], strict=True))

    def _opened(self) -> TextIO:
        return self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="")

    def sync(self) -> None:
        """Wait until every row is on the disk.

        Raises InputError where the file is no longer at its path.
        """
        self._file.flush()
        sync(self._file.fileno())
        mine = os.fstat(self._file.fileno())
        if not self.path.exists() or not os.path.samestat(os.stat(self.path), mine):
            raise InputError(f"{self.path} was deleted or replaced while it was written to")

    def close(self) -> None:
        """Close the file; further rows are an error."""
        self._file.close()
