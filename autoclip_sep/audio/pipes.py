"""Audio through pipes, as it comes: raw samples, and WAV whose length is unknown.

ffmpeg and sox write a WAV header with a length of 0xFFFFFFFF, or near 2^31, where they can't fill
it in later; so does this module. libsndfile waits for whole blocks, and writes no WAV to pipes.
"""

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import riff
from autoclip_sep.audio._opening import HIGHEST_RATE
from autoclip_sep.audio.soundfiles import check_samples
from autoclip_sep.errors import InputError

BITS = {"u8": 8, "s16le": 16, "s24le": 24, "s32le": 32, "f32le": 32, "f64le": 64}  # ffmpeg's names
MOST = 2**16  # bytes that are read at a time, what a pipe holds; less where less has come
UNKNOWN = 0xFFFFFFFF
EXTENSIBLE = 0xFFFE  # and the rest of the identifiers that it has in place of a format's number
GUID = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True)
class Form:
    """How samples lie in a stream: encoding, one of BITS; rate in Hz; channels, interleaved.

    length: bytes of samples, None for all that come.
    """

    encoding: str
    sample_rate: int
    channels: int
    length: int | None = None

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return BITS[self.encoding] // 8 * self.channels


def read_wav_header(file: BinaryIO, name: str) -> Form:
    """What a WAV stream holds; its samples follow. file: unbuffered.

    Raises InputError, with the stream's name, for what is no WAV, and for compressed WAV.
    """
    head, form, wide = _exactly(file, 12), None, UNKNOWN
    if not is_wav(head):
        why = "no samples" if not head else "not WAV"
        raise InputError(
            f"{name}: {why}; raw samples need format= sample_rate= channels=, anything else "
            "`ffmpeg -i ... -f wav - |` before this command"
        )
    while len(head := _exactly(file, 8)) == 8:
        chunk, length = struct.unpack("<4sI", head)
        if chunk == b"data":
            if form is None:
                break
            length = wide if length == UNKNOWN else length
            until_the_end = length == 0 or riff.streamed(length)
            return Form(*form, None if until_the_end else length)
        if chunk in (b"fmt ", b"ds64") and length < MOST:
            content = _exactly(file, length + length % 2)
            if len(content) < 16:
                break
            if chunk == b"fmt ":
                form = _format(content, name)
            else:
                wide = int.from_bytes(content[8:16], "little")
        else:
            _skip(file, length + length % 2)
    raise InputError(f"{name}: a WAV header without samples")


def is_wav(head: bytes) -> bool:
    """By its first 12 bytes."""
    return head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE"


def blocks(
    file: BinaryIO, form: Form, name: str, head: bytes = b""
) -> Iterator[NDArray[np.float32]]:
    """The samples (C, n), as soon as they come.

    file: unbuffered. head: bytes of samples that were read before. Raises InputError, after all
    whole samples, for a stream that ends too early, and for samples that are NaN, infinite or
    beyond +-1e6.
    """
    held, start, left = head, 0, form.length
    while True:
        whole = len(held) // form.frame * form.frame
        if whole:
            samples = decode(held[:whole], form.encoding).reshape(-1, form.channels)
            check_samples(name, samples, start)
            yield samples.T
            start += len(samples)
            held = held[whole:]
            left = None if left is None else left - whole
        more = MOST if left is None else min(MOST, left - len(held))
        content = file.read(more) if more else b""
        if not content:
            break
        held += content
    if left is not None and left > len(held):
        raise InputError(f"{name}: truncated, its header promises {left - len(held)} bytes more")
    if held:
        raise InputError(
            f"{name}: ends within a sample ({len(held)} of {form.frame} bytes): are "
            f"{form.channels} channels of {form.encoding} right?"
        )
    if not start:
        raise InputError(f"{name}: no samples")


def decode(content: bytes, encoding: str) -> NDArray[np.float32]:
    """Samples in [-1, 1]."""
    if encoding in ("f32le", "f64le"):
        return np.frombuffer(content, f"<f{BITS[encoding] // 8}").astype(np.float32)
    if encoding == "u8":
        return (np.frombuffer(content, np.uint8) - np.float32(128)) / np.float32(128)
    if encoding == "s24le":  # the upper three bytes of four
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    integers = np.frombuffer(content, f"<i{BITS[encoding] // 8}")
    return (integers / 2.0 ** (BITS[encoding] - 1)).astype(np.float32)


def encode(samples: NDArray[np.float32], encoding: str) -> bytes:
    """The nearest values, halves away from zero; what is beyond full scale saturates."""
    if encoding in ("f32le", "f64le"):
        return samples.astype(f"<f{BITS[encoding] // 8}").tobytes()
    full = 2.0 ** (BITS[encoding] - 1)
    scaled = samples.astype(np.float64) * full
    scaled += np.copysign(0.5, scaled)
    integers = scaled.clip(-full, full - 1).astype(np.int64)
    if encoding == "u8":
        return (integers + 128).astype(np.uint8).tobytes()
    if encoding == "s24le":
        return integers.astype("<i4").view(np.uint8).reshape(*samples.shape, 4)[..., :3].tobytes()
    return integers.astype(f"<i{BITS[encoding] // 8}").tobytes()


def wav_header(sample_rate: int, channels: int) -> bytes:
    """Of 32-bit floats, of unknown length, and of channels that are no loudspeakers'."""
    width = 4 * channels
    form = struct.pack(
        "<4sIHHIIHHHHIH14s", b"fmt ", 40, EXTENSIBLE, channels, sample_rate, sample_rate * width,
        width, 32, 22, 32, 0, 3, GUID,
    )  # fmt: skip
    ends = struct.pack("<4sI4s", b"RIFF", UNKNOWN, b"WAVE"), struct.pack("<4sI", b"data", UNKNOWN)
    return ends[0] + form + ends[1]


def _format(content: bytes, name: str) -> tuple[str, int, int]:
    """Encoding, rate and channels by a WAV's `fmt ` chunk."""
    tag, channels, rate, _, width, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == EXTENSIBLE and len(content) >= 40:
        tag = int.from_bytes(content[24:26], "little")
    names = {1: {8: "u8", 16: "s16le", 24: "s24le", 32: "s32le"}, 3: {32: "f32le", 64: "f64le"}}
    encoding = names.get(tag, {}).get(bits)
    if encoding is None:
        raise InputError(
            f"{name}: WAV of format {tag} with {bits} bits isn't read from a pipe: put "
            "`ffmpeg -i - -f wav -c:a pcm_s16le - |` before this command"
        )
    if not channels or not 0 < rate <= HIGHEST_RATE or width != bits // 8 * channels:
        raise InputError(f"{name}: no usable WAV header, {channels} channels at {rate} Hz")
    return encoding, rate, channels


def _exactly(file: BinaryIO, size: int) -> bytes:
    """As many bytes, or fewer at the stream's end."""
    content = b""
    while len(content) < size and (more := file.read(size - len(content))):
        content += more
    return content


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0 and (more := file.read(min(size, MOST))):
        size -= len(more)


def standard_input() -> BinaryIO:
    """The process' standard input without a buffer.

    Raises InputError for a terminal, and where it was closed.
    """
    if sys.__stdin__ is None:
        raise InputError("input=-: standard input is closed, pipe audio into this command")
    if os.isatty(0):
        raise InputError("input=-: standard input is a terminal, pipe audio into this command")
    os.set_blocking(0, True)  # or a pause would look like the end
    return open(0, "rb", buffering=0, closefd=False)


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """The process' standard output for samples alone: whatever is printed goes to standard error.

    Raises InputError for a terminal, and where it was closed.
    """
    if sys.__stdout__ is None:
        raise InputError("output=-: standard output is closed, pipe it or name a folder")
    sys.stdout.flush()
    if os.isatty(1):
        raise InputError("output=-: standard output is a terminal, pipe it or name a folder")
    kept = os.dup(1)
    try:
        os.dup2(2, 1)  # of libraries written in C, too
        with redirect_stdout(sys.stderr), open(kept, "wb", closefd=False) as sink:
            yield sink
    finally:
        os.dup2(kept, 1)
        os.close(kept)
