"""Audio files: read, write, change the sample rate, and refuse what isn't sound.

The only file that imports soundfile; SPHERE files with Shorten go through sphere.py. A broken file
is refused with one `InputError` line rather than read as something else: libsndfile itself reads
half a WAV, a header without samples, or NaN samples without a word.
"""

import io
import itertools
import os
import stat
import struct
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import ArrayLike, DTypeLike, NDArray

from autoclip_sep import sphere
from autoclip_sep.errors import InputError

LARGEST_SAMPLE = 1e6  # far above any scale in use (full scale is 1); beyond it a file is corrupt
# Written by programs that stream to a pipe and can't come back to fill in the length: 0xFFFFFFFF
# (ffmpeg), and a little below 2^31 (sox). Such a length is no promise.
_STREAMED = (0x7FFFF000, 0x7FFFFFFF)
_UNKNOWN = 0xFFFFFFFF
_temporary = itertools.count()


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: samples per channel, rate in Hz, channels, libsndfile names."""

    frames: int
    sample_rate: int
    channels: int
    format: str
    subtype: str


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """What the header says, after every check that needs no samples.

    Raises InputError if the file is missing, isn't a plain file, isn't audio, holds no samples, or
    is shorter than its own header says.
    """
    return _headers(path)[0]


def read(
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    frames: int | None = None,
    dtype: DTypeLike = np.float32,
) -> tuple[NDArray[Any], int]:
    """Samples (C, T) in [-1, 1] for integer formats, and the rate in Hz.

    start, frames: the part to read, in samples; frames=None reads to the end.
    dtype: float32, float64 or int16 (the last gives 16-bit files as they are stored).
    Raises InputError as `info` does, and for a part outside the file, a file that ends early,
    and samples that are NaN, infinite or beyond +-1e6 (naming the first).
    """
    header, shortened = _headers(path)
    wanted = header.frames - start if frames is None else frames
    if start < 0 or wanted < 0 or start + wanted > header.frames:
        raise InputError(
            f"{path}: samples {start} to {start + wanted} asked for, it has {header.frames}"
        )
    if shortened:
        part = sphere.decode(shortened)[start : start + wanted]
        exact = np.dtype(dtype) == np.int16
        return (part if exact else (part / 2.0**15).astype(dtype)).T, header.sample_rate
    try:
        samples, rate = soundfile.read(
            os.fspath(path), wanted, start, dtype=np.dtype(dtype).name, always_2d=True
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path}: can't be decoded ({_reason(error)})") from error
    if len(samples) != wanted:
        raise InputError(f"{path}: truncated, {len(samples)} of {wanted} samples can be decoded")
    _check_samples(path, samples, start)
    return samples.T, rate


def write(
    path: str | os.PathLike[str],
    samples: ArrayLike,
    sample_rate: int,
    subtype: str = "PCM_16",
) -> None:
    """Write samples (C, T) or (T,), whole or not at all; the suffix of `path` names the format.

    Missing folders are made. int16 samples are stored as they are, float samples as `quantise`
    gives them where the subtype is PCM_16, and as libsndfile converts them elsewhere. Raises
    OSError naming the file: the temporary file is removed, an older file left as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    values = np.atleast_2d(np.asarray(samples)).T
    if subtype == "PCM_16" and values.dtype != np.int16:
        values = quantise(values)
    # Through memory: libsndfile would not say that the disk is full.
    encoded = io.BytesIO()
    soundfile.write(encoded, values, sample_rate, subtype=subtype, format=target.suffix[1:].upper())
    # Made in the same folder: a rename across file systems would not be one operation.
    temporary = target.with_name(f".{os.getpid()}-{next(_temporary)}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(encoded.getbuffer())
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def quantise(samples: ArrayLike) -> NDArray[np.int16]:
    """int16(round(2^15 x)), halves away from zero and saturating, as the WSJ0-mix scripts do."""
    scaled = np.asarray(samples, dtype=np.float64) * 2.0**15
    scaled += np.copysign(0.5, scaled)
    # The conversion to integers drops the fraction.
    return scaled.clip(-(2.0**15), 2.0**15 - 1).astype(np.int16)


def resample(samples: NDArray[Any], from_rate: int, to_rate: int) -> NDArray[Any]:
    """samples (..., T) at another rate, by scipy's `resample_poly` (MATLAB's filter)."""
    if from_rate == to_rate:
        return samples
    # Imported here: it takes longer than all the rest of this file's users together.
    from scipy.signal import resample_poly

    divisor = gcd(from_rate, to_rate)
    up, down = to_rate // divisor, from_rate // divisor
    resampled: NDArray[Any] = resample_poly(samples, up, down, axis=-1)
    return resampled


def _headers(path: str | os.PathLike[str]) -> tuple[AudioInfo, sphere.Header | None]:
    """What the file's header says; the second one for SPHERE files with Shorten only."""
    check_plain_file(path)
    nist = sphere.read_header(path)
    if nist and nist.shortened:
        said = AudioInfo(nist.frames, nist.sample_rate, nist.channels, "NIST", "PCM_16")
    else:
        try:
            file = soundfile.info(os.fspath(path))
        except (RuntimeError, TypeError, ValueError, OSError) as error:
            raise InputError(_not_audio(path, error)) from error
        said = AudioInfo(file.frames, file.samplerate, file.channels, file.format, file.subtype)
    missing = nist.missing_bytes if nist else _missing_bytes(path)
    if missing:
        raise InputError(f"{path}: truncated, its header promises {missing} bytes more than it has")
    if said.frames <= 0:
        raise InputError(f"{path}: no samples, only a header")
    return said, nist if nist and nist.shortened else None


def check_plain_file(path: str | os.PathLike[str]) -> None:
    """Raises InputError for what isn't a plain file that can be read.

    Before it is opened: opening a FIFO or a device can wait for ever.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            raise InputError(f"{path}: a link to {os.readlink(path)}, which is missing") from error
        raise InputError(f"{path}: can't be opened ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: a folder, not an audio file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: not a plain file (a pipe, socket or device); write it to a file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: can't be opened (permission denied)")


def _not_audio(path: str | os.PathLike[str], error: Exception) -> str:
    """One line that says what the file begins with, since a saved web page is the usual cause."""
    with open(path, "rb") as file:
        head = file.read(64)
    if not head:
        return f"{path}: not audio, the file is empty (0 bytes)"
    if not head.strip(b"\0"):
        return f"{path}: not audio, it begins with zeros only"
    if head.lstrip().startswith(b"<"):
        return f"{path}: not audio but a web page or XML; fetch the file itself"
    return f"{path}: not audio that libsndfile reads ({_reason(error)})"


def _reason(error: Exception) -> str:
    """libsndfile's own sentence, without the path and on one line."""
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")


def _check_samples(path: str | os.PathLike[str], samples: NDArray[Any], start: int) -> None:
    if samples.dtype.kind != "f" or samples.size == 0:
        return
    # One pass tells good files from bad ones: NaN and infinities survive minimum and maximum.
    if abs(samples.min()) <= LARGEST_SAMPLE and abs(samples.max()) <= LARGEST_SAMPLE:
        return
    bad = ~(np.abs(samples) <= LARGEST_SAMPLE)
    index = int(np.argmax(bad.any(axis=1)))
    value = samples[index][bad[index]][0]
    raise InputError(f"{path}: sample {start + index} is {value}, not a usable amplitude")


def _missing_bytes(path: str | os.PathLike[str]) -> int:
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
