"""A terminal that may go away while a run goes on: its window is closed, or ssh breaks off."""

import errno
import io
from typing import Any, TextIO


class _Raw(io.FileIO):
    """What is written after the terminal has gone is lost, and nothing else is."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(memoryview(data))


def that_may_close(stream: TextIO) -> TextIO:
    """The same terminal, line by line, without an error once it is gone."""
    try:
        raw = _Raw(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):  # somebody's own stream, that only claims to be a terminal
        return stream
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffered, stream.encoding, stream.errors, line_buffering=True, write_through=True
    )
