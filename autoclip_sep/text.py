"""Text files and CSV tables from other systems.

Spreadsheets write byte-order marks, UTF-16, Windows line ends, empty fields and empty lines; file
names in a table may be any bytes.
"""

import codecs
import csv
import io
import os
from collections.abc import Sequence

from autoclip_sep.errors import InputError
from autoclip_sep.names import some

MARK = "\ufeff"
COLUMNS_SHOWN = 12


def read_text(path: str | os.PathLike[str]) -> str:
    """The content of a file in UTF-8, or in UTF-16 with a byte-order mark; line ends stay.

    Bytes that aren't UTF-8 stay, too (surrogateescape). Raises InputError for a file that can't be
    read or isn't text.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            text = content.decode("utf-8", "surrogateescape")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: can't be read, it isn't text ({error.reason})") from error
    if "\0" in text:
        raise InputError(f"{path}: can't be read, it isn't text (zeros in it)")
    return text.lstrip(MARK)


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV table that has these columns, each with its line number.

    Empty lines and empty fields after the last column are ignored. Raises InputError naming the
    malformed line, or the columns that are missing.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if any(field.strip() for field in row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {lines.line_num}: can't be read ({error})") from error
    header = [field.strip() for field in rows[0][1]] if rows else []
    while header and not header[-1]:
        header.pop()
    wrong = [column for column in columns if header.count(column) != 1]
    if header and wrong:
        what = "two columns" if wrong[0] in header else "no column"
        raise InputError(
            f"{path}: {what} {some(wrong, COLUMNS_SHOWN)}; found: {some(header, COLUMNS_SHOWN)}"
        )
    if len(rows) < 2:
        raise InputError(f"{path}: the table is empty")
    for number, row in rows[1:]:
        if len(row) < len(header) or any(row[len(header) :]):
            raise InputError(f"{path}, line {number}: {len(row)} fields for {len(header)} columns")
    return [(number, dict(zip(header, row, strict=False))) for number, row in rows[1:]]
