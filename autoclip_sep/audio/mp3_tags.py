"""MP3s without the tags between and behind their frames: pictures and text can look like frames.

Decoders skip a tag in front. Others are at the end (APE), and wherever MP3s with tags were joined.
"""

import io
import os
import re
from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO

from autoclip_sep.files import mapped

# ID3v2: version, flags, and the length, of 7 bits to a byte. APE: version, the length without the
# header, number of items, and flags; at both ends of the tag, or at its end only. ID3v1: text of a
# fixed length; at the end of the file decoders skip it.
_TAG = re.compile(
    rb"ID3[\x02-\x04]\0.([\0-\x7f]{4})|APETAGEX.{4}(.{4}).{4}(.{4})"
    rb"|TAG[\0\x20-\xfe]{94}.{31}(?=\xff[\xe2-\xff]|ID3|APETAGEX)",
    re.DOTALL,
)
_APE_HEAD = 32  # bytes
_IN_FRONT = 1 << 29  # of the flags: that this is the header


def sound(path: str | os.PathLike[str]) -> list[tuple[int, int]]:
    """From which byte to which there are frames, or a tag in front of all of them.

    Empty where there are no other tags.
    """
    spans, begin, place, front = list[tuple[int, int]](), 0, 0, 0
    with mapped(path) as content:
        while found := _TAG.search(content, place):
            start, place = _span(found)
            if start == front:
                front = place
            elif begin <= start and place <= len(content):
                spans.append((begin, start))
                begin = place
            else:  # no tag, or one whose length reaches into frames
                place = found.end()
        if spans:
            spans.append((begin, len(content)))
    return [(start, stop) for start, stop in spans if start < stop]


def _span(tag: re.Match[bytes]) -> tuple[int, int]:
    """Where a tag begins and ends, by its header or an APE tag's footer."""
    if tag[0].startswith(b"TAG"):
        return tag.span()
    if tag[1]:
        a, b, c, d = tag[1]
        return tag.start(), tag.end() + (a << 21 | b << 14 | c << 7 | d)
    length = int.from_bytes(tag[2], "little")
    if int.from_bytes(tag[3], "little") & _IN_FRONT:
        return tag.start(), tag.start() + _APE_HEAD + length
    return tag.start() + _APE_HEAD - length, tag.start() + _APE_HEAD


class Parts(io.RawIOBase):
    """A file that consists of spans of bytes of another one."""

    def __init__(self, file: BinaryIO, spans: list[tuple[int, int]]) -> None:
        self._file, self._spans, self._place = file, spans, 0
        self._ends = list(accumulate(stop - start for start, stop in spans))

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._ends[-1]}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all of one span; none at the end."""
        part = bisect_right(self._ends, self._place)
        if part == len(self._ends):
            return b""
        left = self._ends[part] - self._place
        self._file.seek(self._spans[part][1] - left)
        content = self._file.read(left if size < 0 else min(size, left))
        self._place += len(content)
        return content
