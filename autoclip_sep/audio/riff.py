"""Checks the lengths in the headers of chunked files: WAV, AIFF, Wave64, CAF, AVI, and of AU.

libsndfile silently reads half a file. Headers may also be stale: written before the samples by a
program that was killed. So two lengths are checked, that of the file and that of its samples:
samples that are all there win over the file's length, and a file that is as long as its header says
wins over a wrong length of its samples.
"""

import os
import struct
from collections.abc import Iterator
from itertools import takewhile
from typing import BinaryIO, NamedTuple

# Written by programs that stream to a pipe and can't fill in the length later: 0xFFFFFFFF (ffmpeg),
# a little below 2^31 (sox), and 2^31 (arecord).
_STREAMED = (0x7FFFF000, 0x80000000)
_UNKNOWN = 0xFFFFFFFF
_FILES = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff"}  # how one begins
_GUID = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # the end of Wave64's names


class Claim(NamedTuple):
    """Bytes that the header promises and the file lacks, and `stray` ones that no header covers.

    unfilled: whether the length of the samples in the header is 0.
    """

    missing: int = 0
    stray: int = 0
    unfilled: bool = False


class _Chunks(NamedTuple):
    """How a format lays out its chunks.

    form: where the file ends by its header, None if unknown. header: a chunk's name and length,
    for struct; counted: whether the length includes them. samples: the name of their chunk. first:
    where the first chunk begins.
    """

    form: int | None
    header: str
    samples: bytes
    first: int = 12
    align: int = 2
    counted: bool = False


def claim(path: str | os.PathLike[str]) -> Claim:
    """Zeros for a complete file, a streamed one (unknown length), and any other format."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(40).ljust(40, b"\0")
        if head[:4] == b".snd":  # AU has no chunks
            offset, length = struct.unpack(">II", head[4:12])
            end = offset + length
            return Claim() if streamed(length) else Claim(max(0, end - size), max(0, size - end))
        layout = _layout(head)
        if layout is None:
            return Claim()
        return _compare(file, layout, size)


def _compare(file: BinaryIO, layout: _Chunks, size: int) -> Claim:
    wide: int | None = None
    for name, start, length in _walk(file, layout, layout.first, size):
        if name == b"ds64" and length >= 16:  # RF64 keeps the true 64-bit length here
            file.seek(start + 8)
            wide = int.from_bytes(file.read(8), "little")
        if name == layout.samples:
            length = wide if length == _UNKNOWN and wide is not None else length
            if streamed(length) or length < 0:
                return Claim()
            end = start + length
            if end > size:
                return Claim(0 if layout.form == size else end - size)
            return Claim(0, _stray(file, layout, end, size), unfilled=length == 0)
    return Claim(max(0, layout.form - size) if layout.form else 0)


def _stray(file: BinaryIO, layout: _Chunks, end: int, size: int) -> int:
    """Bytes from the end of the samples on, unless chunks begin there, padded or not.

    Chunks of samples, and another file, count as stray.
    """
    whole = max(size, layout.form or 0) + layout.align
    for start in {end, -(-end // layout.align) * layout.align}:
        if size - start < struct.calcsize(layout.header):
            return 0
        chunks = list(takewhile(_is_named, _walk(file, layout, start, size)))
        if chunks and chunks[0][1] + chunks[0][2] <= whole:
            more = any(name == layout.samples or name[:4] in _FILES for name, _, _ in chunks)
            return size - end if more else 0
    return size - end


def _is_named(chunk: tuple[bytes, int, int]) -> bool:
    return all(32 <= byte < 127 for byte in chunk[0][:4])


def _walk(
    file: BinaryIO, layout: _Chunks, start: int, size: int
) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and length of the content of each chunk from `start` on."""
    head = struct.calcsize(layout.header)
    while start + head <= size:
        file.seek(start)
        name, length = struct.unpack(layout.header, file.read(head))
        if layout.counted:
            length -= head
        yield name, start + head, length
        if length < 0:
            return
        start += -(-(head + length) // layout.align) * layout.align


def _layout(head: bytes) -> _Chunks | None:
    name, kind = head[:4], head[8:12]
    if name in (b"RIFF", b"RIFX", b"RF64", b"BW64") and kind == b"WAVE":
        order = ">" if name == b"RIFX" else "<"
        return _Chunks(_form(head[4:8], order), order + "4sI", b"data")
    if name == b"RIFF" and kind == b"AVI ":  # its samples lie in lists: no chunk to look for
        return _Chunks(_form(head[4:8], "<"), "<4sI", b"")
    if name == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _Chunks(_form(head[4:8], ">"), ">4sI", b"SSND")
    if name == b"riff" and head[28:40] == _GUID:
        length = int.from_bytes(head[16:24], "little")
        form = None if streamed(length) else length
        return _Chunks(form, "<16sQ", b"data" + _GUID, first=40, align=8, counted=True)
    if name == b"caff":
        return _Chunks(None, ">4sQ", b"data", first=8, align=1)
    return None


def _form(field: bytes, order: str) -> int | None:
    length = struct.unpack(order + "I", field)[0]
    return None if streamed(length) else length + 8


def streamed(length: int) -> bool:
    """Whether that stands for a length that was unknown when the header was written."""
    return length == _UNKNOWN or _STREAMED[0] <= length <= _STREAMED[1] or length >= 2**63
