"""How long a WAV file (RIFF, RIFX, RF64) says that it is: libsndfile reads half a one silently."""

import os
import struct
from typing import BinaryIO

# Written by programs that stream to a pipe and can't come back to fill in the length: 0xFFFFFFFF
# (ffmpeg), and a little below 2^31 (sox). Such a length is no promise.
_STREAMED = (0x7FFFF000, 0x7FFFFFFF)
_UNKNOWN = 0xFFFFFFFF


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes that the header of a WAV file (RIFF, RIFX, RF64) promises and the file lacks.

    0 for a complete file, a streamed one (unknown length), and anything that is no WAV file.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
            return 0
        order = ">" if head[:4] == b"RIFX" else "<"
        riff = _length(struct.unpack(order + "I", head[4:8])[0])
        data = _data_end(file, order, size)
    promised = max(riff + 8 if riff else 0, data)
    return max(0, promised - size)


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
