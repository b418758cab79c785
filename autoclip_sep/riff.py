"""How long a WAV file (RIFF, RIFX, RF64), AIFF, AU or Wave64 file says that it is.

libsndfile reads half a one silently.
"""

import os
import struct
from typing import BinaryIO

# Written by programs that stream to a pipe and can't come back to fill in the length: 0xFFFFFFFF
# (ffmpeg), and a little below 2^31 (sox). Such a length is no promise.
_STREAMED = (0x7FFFF000, 0x7FFFFFFF)
_UNKNOWN = 0xFFFFFFFF
_WAVE64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that the header of such a file promises and the file lacks.

    0 for a complete file, a streamed one (unknown length), and anything of another format.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        return max(0, _promised(file, size) - size)


def _promised(file: BinaryIO, size: int) -> int:
    """The bytes that the file has by its header; 0 if it doesn't say."""
    head = file.read(24)
    if len(head) < 24:
        return 0
    name, kind = head[:4], head[8:12]
    if name in (b"RIFF", b"RIFX", b"RF64") and kind == b"WAVE":
        order = ">" if name == b"RIFX" else "<"
        riff = _length(struct.unpack(order + "I", head[4:8])[0])
        file.seek(12)
        return max(riff + 8 if riff else 0, _data_end(file, order, size))
    if name == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _length(struct.unpack(">I", head[4:8])[0]) + 8
    if name == b".snd":
        offset, length = struct.unpack(">II", head[4:12])
        return offset + _length(length)
    if head[:16] == _WAVE64:
        length = struct.unpack("<Q", head[16:])[0]
        return length if length < 2**63 else 0
    return 0


def _data_end(file: BinaryIO, order: str, size: int) -> int:
    """Where the samples end by the header, in bytes from the file's start; 0 if it doesn't say."""
    wide = 0
    while file.tell() + 8 <= size:
        name, length = struct.unpack(order + "4sI", file.read(8))
        if name == b"ds64" and length >= 16:  # RF64 keeps the true 64-bit length here
            wide = struct.unpack(order + "8xQ", file.read(16))[0]
            length -= 16
        if name == b"data":
            length = wide if length == _UNKNOWN and wide else _length(length)
            return file.tell() + length if length else 0
        file.seek(length + length % 2, os.SEEK_CUR)  # chunks begin at even places
    return 0


def _length(value: int) -> int:
    streamed = value == _UNKNOWN or _STREAMED[0] <= value <= _STREAMED[1]
    return 0 if streamed else value
