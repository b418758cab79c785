"""Checks libsndfile's length of a compressed file; where it is wrong, PyAV decodes the file.

An MP3's length is an estimate unless its first frame has the number of frames, and leaves out a
second MP3 behind the first; so is that of MP3 in a WAV. A FLAC file's is what its header says, 0
included. Of chained Ogg streams libsndfile reads the first, and takes a truncated stream, or one
that lacks pages, for a whole one. So frames are counted and pages are followed.
"""

import os
import re
import struct

from autoclip_sep.audio import stems
from autoclip_sep.audio.info import AudioInfo
from autoclip_sep.errors import InputError

# Bit rates of MPEG layer III in kbit/s, of version 1 and of the half and quarter rates' versions.
_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
)
# In the first frame of an MP3: a name, a flag that the number of frames follows, and the number.
_XING = re.compile(rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)", re.DOTALL)
_VBRI = re.compile(rb"VBRI.{10}(....)", re.DOTALL)


def corrected(path: str | os.PathLike[str], header: AudioInfo) -> AudioInfo | None:
    """What PyAV decodes, where libsndfile's `header` has another length; None where it is right.

    Raises InputError for a truncated file.
    """
    check = {"MP3": _mp3_is_right, "FLAC": _flac_is_right, "OGG": ogg_is_right}.get(header.format)
    if check is None and not header.subtype.startswith("MPEG_LAYER"):
        return None
    if check is not None and check(path, header.frames):
        return None
    found = stems.info(path)
    if found.frames < header.frames < 2**62 and header.format == "FLAC":
        raise _truncated(path, f"{found.frames} of {header.frames} samples can be decoded")
    return found if found.frames != header.frames else None


def _mp3_is_right(path: str | os.PathLike[str], frames: int) -> bool:
    number, last = 0, b""
    with stems.opened(path) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            found = stems.MPEG_FRAME.search(bytes(packet))
            if found:
                number, last = number + 1, bytes(packet)[found.start() :]
        size = stream.codec_context.frame_size
    if len(last) < _frame_length(last):
        raise _truncated(path, f"its last MP3 frame has {len(last)} of {_frame_length(last)} bytes")
    promised = _promised_frames(path)
    if promised is None:
        return frames == number * size
    if number < promised - 1:  # some encoders count the frame that holds the number
        raise _truncated(path, f"it has {number} of {promised} MP3 frames")
    return number <= promised + 1


def _promised_frames(path: str | os.PathLike[str]) -> int | None:
    """How many frames an MP3 has by its first one; None where that isn't in it."""
    with open(path, "rb") as file:
        head = file.read(10)
        while head[:3] == b"ID3" and len(head) == 10:  # its length has 7 bits to a byte
            a, b, c, d = head[6:]
            file.seek(a << 21 | b << 14 | c << 7 | d, os.SEEK_CUR)
            head = file.read(10)
        head += file.read(2000)
    found = _XING.search(head) or _VBRI.search(head)
    return int.from_bytes(found[1], "big") if found else None


def _frame_length(header: bytes) -> int:
    """Bytes of the MPEG layer III frame with this header; 0 for other layers."""
    if len(header) < 4 or header[1] & 6 != 2:
        return 0
    version = header[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    rate = (44100, 48000, 32000, 0)[header[2] >> 2 & 3] >> {3: 0, 2: 1}.get(version, 2)
    bits = _RATES[version != 3][header[2] >> 4] * 1000
    if not rate or not bits:
        return 0
    return (144 if version == 3 else 72) * bits // rate + (header[2] >> 1 & 1)


def _flac_is_right(path: str | os.PathLike[str], frames: int) -> bool:
    with stems.opened(path) as container:
        return frames == sum(packet.duration or 0 for packet in container.demux(audio=0))


def ogg_is_right(path: str | os.PathLike[str], _: int) -> bool:
    """Whether there is one stream, from its first page to one that is marked as the last.

    Raises InputError where pages are missing.
    """
    begun, ended, size = dict[int, int](), 0, os.path.getsize(path)  # the number of the next page
    with open(path, "rb") as file:
        while (head := file.read(27))[:4] == b"OggS" and len(head) == 27:
            segments = file.read(head[26])
            serial, number = struct.unpack("<II", head[14:22])
            if len(segments) < head[26] or file.seek(sum(segments), os.SEEK_CUR) > size:
                break
            if head[5] & 2:
                begun[serial] = number
            if begun.get(serial, number) != number:
                raise InputError(f"{path}: damaged, Ogg page {begun[serial]} is missing")
            if serial in begun:
                begun[serial] = number + 1
            if head[5] & 4:
                begun.pop(serial, None)
                ended += 1
    if begun:
        raise _truncated(path, "it has no Ogg page that is marked as the last")
    return ended == 1


def _truncated(path: str | os.PathLike[str], how: str) -> InputError:
    return InputError(f"{path}: truncated, {how}")
