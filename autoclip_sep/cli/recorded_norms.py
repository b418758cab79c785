"""Gradient norms that were recorded: in a clipper's history, a run's records, a column of text."""

import csv
import io
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping.history import is_row, unpack
from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.saved_state import is_mapping

COLUMN = "grad_norm"  # taken where several are there and none was asked for
DELIMITERS = ",;\t "
NO_TEXT = "neither UTF-8 text nor a file of torch.save"
SIZED = re.compile(r"\w* bytearray|torch(\._tensor)? \w*Tensor")  # which torch.load makes of a size
ZIP = b"PK\x03\x04"  # how every file of torch.save begins


@dataclass(frozen=True)
class RecordedNorms:
    """Norms in order of their steps, and what is known of them.

    steps: the number of each norm's step, rising, from 1.
    skipped: steps without a finite norm, those that a history left out included.
    source: what was read. which: the steps that these are, as in "of every 20th step"; may be "".
    blank: rows of a table that were left out because they hold no norm, as a logger writes them
        that logs other things at other times.
    """

    norms: list[float]
    steps: list[int]
    skipped: int
    source: str
    which: str
    blank: int = 0


def read(source: str, column: str | None = None) -> RecordedNorms:
    """Read norms from a run directory, a file of torch.save, a file with a column, or - (stdin).

    A run directory gives the whole history that its newest checkpoint holds, else dynamics.csv.
    column: which one of a table; by its number, from 1, where the table has no header.

    Raises InputError, naming file and line, for what doesn't hold norms; OSError where no file is.
    """
    path = Path(source)
    if path.is_dir():
        return _of_run(path, column)
    content = sys.stdin.buffer.read() if source == "-" else path.read_bytes()
    name = "standard input" if source == "-" else source
    if not content.startswith(ZIP):
        return _of_text(content, name, column)
    if column is not None:
        raise InputError(f"{name} is no table: leave column= out")
    return _of_state(_unpacked(content, path, name), name)


def _unpacked(content: bytes, path: Path, name: str) -> object:
    if path.with_name(f"{path.name}.sha256").is_file():
        return checkpoint.load(path)  # one of ours: held against its digest
    try:
        for kind in checkpoint.globals_of(content):
            if SIZED.fullmatch(kind):
                raise ValueError(f"it holds {kind!r}, which may ask for any size")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here, all of which mean the same to us
        reason = str(error).strip().split("\n")[0].partition(". ")[0]
        raise InputError(f"{name} is not a file of tensors and numbers: {reason}") from error


def _of_run(directory: Path, column: str | None) -> RecordedNorms:
    """A whole history, else dynamics.csv, else a history of the latest steps."""
    table = directory / "dynamics.csv"
    folder = CheckpointFolder(directory / "checkpoints")
    recorded = None
    if column is None and (last := folder.read("last", sys.stderr)):
        path, state = last
        try:
            recorded = _of_state(state, str(path))
        except InputError:
            if not table.is_file():
                raise
    if recorded is not None and (recorded.steps[0] == 1 or not table.is_file()):
        return recorded
    if not table.is_file():
        raise InputError(
            f"{directory} holds no recorded norms: must be a run directory, with checkpoints/ or "
            "dynamics.csv in it"
        )
    content = table.read_bytes()  # of a run that may be writing it: whole lines only
    return _of_text(content[: content.rfind(b"\n") + 1], str(table), column)


def _of_state(content: object, source: str) -> RecordedNorms:
    """The one history in nested mappings, or a row of numbers by itself."""
    content = {"history": content} if isinstance(content, Tensor) else content
    found = dict(_clippers(content))
    if len(found) != 1:
        names = f"several histories ({', '.join(found)})" if found else "no clipper's history"
        raise InputError(f"{source} holds {names}: must hold one, as AutoClip's state_dict() does")
    (state,) = found.values()
    if "lengths" in state:
        raise InputError(
            f'{source} holds a history for each parameter (scope="parameter"): '
            "must be that of the global norm"
        )
    history = state["history"]
    try:
        # What is expanded would become as large as it claims to be.
        real = is_row(history) and not history.is_complex()
        norms = unpack("a history", history.double() if real else history).tolist()
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    if not norms:
        raise InputError(f"{source} holds an empty history: no step was recorded")
    if min(norms) < 0:
        raise InputError(f"{source} holds {min(norms):g}, which is below 0, as no norm is")
    steps, skipped, zeros = (_count(state.get(key)) for key in ("steps", "skipped", "zeros"))
    seen = max(steps - skipped - zeros, len(norms))
    skipped += sum(not math.isfinite(norm) for norm in norms)  # none in a history of ours
    which = "of every step" if seen == len(norms) else f"the latest of {seen:,}"
    first = seen - len(norms) + 1
    return RecordedNorms(norms, list(range(first, seen + 1)), skipped, source, which)


def _clippers(content: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every state that has a history, by its dotted name; in lists by number.

    However deep: and once, since few bytes say that there is twice what has twice what lies within.
    """
    waiting, met = [("", content)], set[int]()
    while waiting:
        name, node = waiting.pop()
        inner = dict(enumerate(node)) if isinstance(node, list | tuple) else node
        if not is_mapping(inner) or id(node) in met:
            continue
        met.add(id(node))
        for prefix in ("", "gradients."):  # the second: in the state of a `Combined`
            history = inner.get(f"{prefix}history")
            if isinstance(history, list) or (isinstance(history, Tensor) and history.ndim == 1):
                own = {str(k).removeprefix(prefix): v for k, v in inner.items()
                       if str(k).startswith(prefix)}  # fmt: skip
                yield f"{name}{prefix}history", own
        waiting += [(f"{name}{key}.", value) for key, value in reversed(inner.items())]


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _of_text(content: bytes, source: str, column: str | None) -> RecordedNorms:
    """A column of comma-, semicolon-, tab- or space-separated text, with a header or without."""
    rows = _rows(content, source)
    if not rows:
        raise InputError(f"{source} is empty: must be a column of gradient norms")
    first = rows[0][1]
    header = any(cell and _number(cell) is None for cell in first)
    names = first if header else [str(n) for n in range(1, len(first) + 1)]
    place = _place(names, column, source, header)
    body = rows[1:] if header else rows
    for line, cells in body:
        if len(cells) != len(names):
            raise InputError(
                f"{source}, line {line}: {len(cells)} columns, not {len(names)} as before"
            )
    blank = [cells for _, cells in body if not cells[place]]
    body = [(line, cells) for line, cells in body if cells[place]]
    norms = [_norm(cells[place], f"{source}, line {line}") for line, cells in body]
    if not any(map(math.isfinite, norms)):
        below = f" below the header {_shown(names[place])}" if header else ""
        raise InputError(f"{source} holds no number{below}: must hold gradient norms")
    steps, which = _steps([cells for _, cells in body], names)
    skipped = sum(not math.isfinite(norm) for norm in norms)
    return RecordedNorms(norms, steps, skipped, source, which, len(blank))


def _rows(content: bytes, source: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of all lines but empty ones and comments (#)."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is {NO_TEXT}: {error.reason}, byte {error.start}") from error
    if b"\0" in content:
        raise InputError(f"{source} is {NO_TEXT}: byte {content.index(0)} is 0")
    kept = [n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    stripped = [lines[n].strip(" ") for n in kept]
    second = "".join(stripped[:2][-1:])  # the first may be a header with spaces in it
    delimiter = next((sign for sign in DELIMITERS if sign in second), ",")
    rows = csv.reader(stripped, delimiter=delimiter, skipinitialspace=True)
    found: list[tuple[int, list[str]]] = []
    try:
        for cells in rows:
            line = kept[len(found)] + 1
            if rows.line_num > len(found) + 1:
                raise InputError(f"{source}, line {line}: a quotation mark is never closed")
            found.append((line, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise InputError(f"{source}, line {kept[len(found)] + 1}: {error}") from error
    return found


def _place(names: list[str], column: str | None, source: str, header: bool) -> int:
    if column is None and len(names) == 1:
        return 0
    wanted = COLUMN if column is None else column
    if wanted in names:
        return names.index(wanted)
    wrong = "has several columns" if column is None else f"has no column {column!r}"
    there = f"it has {', '.join(names)[:500]}" if header else f"without a header: 1 to {len(names)}"
    raise InputError(f"{source} {wrong}: choose one with column=...; {there}")


def _norm(text: str, where: str) -> float:
    norm = _number(text)
    if norm is None:
        raise InputError(f"{where}: {_shown(text)} is no number")
    if norm < 0:
        raise InputError(f"{where}: {text} is below 0, which no norm is")
    return norm


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _steps(rows: list[list[str]], names: list[str]) -> tuple[list[int], str]:
    """The column `step` where it rises, and what it says of the steps; else the rows counted."""
    counted = list(range(1, len(rows) + 1))
    try:
        steps = [int(row[names.index("step")]) for row in rows]
    except ValueError:
        return counted, ""
    gaps = {later - step for step, later in pairwise(steps)}
    if any(gap < 1 for gap in gaps):
        return counted, ""
    if len(gaps) != 1:
        return steps, ""
    (gap,) = gaps
    return steps, "of every step" if gap == 1 else f"of every {ordinal(gap)} step"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
