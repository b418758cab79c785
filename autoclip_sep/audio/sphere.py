"""NIST SPHERE files with Shorten-compressed samples, as the LDC ships WSJ0 (.wv1).

libsndfile reads SPHERE with plain samples only; these go through desphere, which decodes version 2
of the stream. NIST's w_encode of 1993 wrote version 1 (`embedded-shorten-v1.09`). Without a running
mean and without linear prediction, its defaults, both versions mean the same, and only the version
number is changed. The samples are checked against the header's checksum.

Source: T. Robinson, "SHORTEN: Simple lossless and near-lossless waveform compression",
CUED/F-INFENG/TR.156 (1994), and the format notes in the LDC's catalogue.
"""

import io
import os
import re
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.optional import require

MAGIC = b"NIST_1A\n"
LARGEST_HEADER = 2**20  # bytes; the usual one has 1024
# Of all channels: 35 minutes at 16 kHz. desphere decodes a stream at once, and takes 18 bytes of
# memory for each of its samples; the discs' files last seconds.
LONGEST = 2**25
FIELD = re.compile(r"(\w+)\s+-(?:i|r|s\d+)\s+(.*)")
STREAM_MAGIC = b"ajkg"


@dataclass(frozen=True)
class Header:
    """A SPHERE header. size: its own, in bytes. fields: their text by name."""

    path: str
    size: int
    fields: dict[str, str]

    @property
    def shortened(self) -> bool:
        """Whether the samples are compressed."""
        return "," in self.coding.strip(" ,")

    @property
    def coding(self) -> str:
        """`pcm`, `ulaw`, or one of them with the compression: `pcm,embedded-shorten-v1.09`."""
        return self.fields.get("sample_coding", "pcm")

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return self.number("sample_count")

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.number("sample_rate")

    @property
    def channels(self) -> int:
        """Channels, interleaved."""
        return self.number("channel_count")

    @property
    def missing_bytes(self) -> int:
        """Bytes that the header promises and the file lacks; 0 where samples are compressed."""
        if self.shortened:
            return 0
        promised = self.frames * self.channels * self.number("sample_n_bytes")
        return max(0, self.size + promised - os.path.getsize(self.path))

    def number(self, name: str) -> int:
        """A field that is a count. Raises InputError where it is missing or no such number."""
        value = self.fields.get(name, "missing")
        if not value.isascii() or not value.isdigit():
            raise InputError(f"{self.path}: no usable SPHERE header, its {name} is {value}")
        return int(value)


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """The header of a SPHERE file; None for any other file. Raises InputError for a broken one."""
    with open(path, "rb") as file:
        start = file.read(len(MAGIC) + 8)
        if not start.startswith(MAGIC):
            return None
        size = start[len(MAGIC) :].strip()
        if not size.isdigit() or not len(start) < int(size) <= LARGEST_HEADER:
            raise InputError(f"{path}: no usable SPHERE header, its size is {size!r}")
        content = start + file.read(int(size) - len(start))
    described, end, _ = content.decode("ascii", "replace").partition("end_head")
    if not end or len(content) < int(size):
        raise InputError(f"{path}: truncated, its SPHERE header has no end")
    fields = (FIELD.fullmatch(line.strip()) for line in described.splitlines()[2:])
    return Header(os.fspath(path), int(size), {f[1]: f[2].strip() for f in fields if f})


def decode(header: Header) -> NDArray[np.int16]:
    """The samples (T, C) of a Shorten-compressed file.

    Raises InputError for a damaged or truncated stream, a wrong checksum, more samples than
    `LONGEST`, codings that desphere doesn't know, and where desphere is missing.
    """
    path = header.path
    if header.frames * header.channels > LONGEST:
        raise InputError(
            f"{path}: {header.frames * header.channels} samples compressed by Shorten; up to"
            f" {LONGEST} are decoded, in memory: convert it to WAV with sph2pipe"
        )
    desphere = require("desphere", f"{path}: reading SPHERE files with Shorten")
    with open(path, "rb") as file:
        file.seek(header.size)
        stream = _as_version_2(path, file.read())
    try:
        decoded = desphere.transcode_bytes(_header_for_desphere(header) + stream)
    except desphere.DesphereError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: truncated, damaged, or unknown coding ({reason})") from error
    with wave.open(io.BytesIO(decoded)) as audio:
        samples = np.frombuffer(audio.readframes(audio.getnframes()), "<i2")
    _check_sum(header, samples)
    return samples.reshape(-1, header.channels).astype(np.int16, copy=False)


def _header_for_desphere(header: Header) -> bytes:
    """The fields that desphere needs, and no others."""
    lines = ["NIST_1A", "   1024"]
    for name in ("sample_count", "sample_rate", "channel_count", "sample_n_bytes"):
        lines.append(f"{name} -i {header.number(name)}")
    coding = re.sub(r"shorten-v1\.\d+", "shorten-v2.00", header.coding)
    lines += ["sample_byte_format -s2 01", f"sample_coding -s{len(coding)} {coding}", "end_head\n"]
    return "\n".join(lines).encode("ascii", "replace").ljust(1024)


def _as_version_2(path: str, stream: bytes) -> bytes:
    """A stream of version 1 as one of version 2, where they mean the same; others as they are."""
    if not stream.startswith(STREAM_MAGIC + b"\1"):
        return stream
    start = stream[len(STREAM_MAGIC) + 1 :]
    *_, lpc_order, means, _ = _unsigned(start[:64], 6)
    if lpc_order or means:
        raise InputError(
            f"{path}: Shorten version 1 with linear prediction or a running mean can't be decoded:"
            " convert it to WAV with sph2pipe"
        )
    return STREAM_MAGIC + b"\2" + start


def _unsigned(start: bytes, number: int) -> list[int]:
    """The first numbers of a stream; zeros where it ends early (desphere then refuses it).

    Each is a width, then a value of that width: the high part in unary, the low bits as they are.
    """
    bits = iter("".join(f"{byte:08b}" for byte in start))

    def value(low: int) -> int:
        high = 0
        while next(bits, "1") == "0":
            high += 1
        return high << low | int("0" + "".join(next(bits, "0") for _ in range(low)), 2)

    return [value(value(2)) for _ in range(number)]


def _check_sum(header: Header, samples: NDArray[np.int16]) -> None:
    """Compare with the header's checksum: the sum of all samples, 16 bits of it."""
    checksum = header.fields.get("sample_checksum", "")
    if not header.coding.startswith("pcm") or not checksum.lstrip("-").isdigit():
        return
    # Of files of the other byte order, some checksums are of the samples as stored.
    sums = [int(part.sum(dtype=np.int64)) & 0xFFFF for part in (samples, samples.byteswap())]
    if int(checksum) & 0xFFFF not in sums:
        raise InputError(
            f"{header.path}: damaged, its samples add up to {sums[0]}, its header's checksum is"
            f" {checksum}"
        )
