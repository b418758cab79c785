"""The streams of a command: seen line by line, and a terminal that may go away meanwhile."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from autoclip_sep.errors import InputError


class _Raw(io.FileIO):
    """What is written after the terminal has gone is lost, and nothing else is."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(memoryview(data))


def open_streams() -> None:
    """Show each line at once, in a file or a pipe too; a stream that is closed leads nowhere.

    Left closed, the next file to be opened would take its place, and torch's messages go into it.
    """
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif stream != "stdin" and getattr(sys, stream).isatty():
            setattr(sys, stream, _that_may_close(getattr(sys, stream)))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may be bytes that no text holds.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")


def check_open() -> None:
    """Raises InputError where standard output, on which the result is to appear, was closed."""
    if sys.__stdout__ is None:
        raise InputError("standard output is closed: nobody could read what is printed")


def end(line: str, code: int) -> NoReturn:
    """Print the last line, if there is one, and exit; whoever reads it may be gone."""
    with suppress(OSError):
        print(*([line] if line else []), file=sys.stderr, end="\n" if line else "")
    try:
        sys.stdout.flush()
    except OSError:  # or it would be tried again at the end, with a complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _that_may_close(stream: TextIO) -> TextIO:
    """The same terminal, line by line, without an error once it is gone."""
    try:
        raw = _Raw(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):  # somebody's own stream, that only claims to be a terminal
        return stream
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffered, stream.encoding, stream.errors, line_buffering=True, write_through=True
    )
