"""Audio files: read, write, change the sample rate, and refuse what isn't sound.

The only file that imports soundfile. SPHERE files with Shorten go through sphere.py; what
libsndfile doesn't know, or misjudges the length of, through PyAV (stems.py): its first sound where
it holds several. A broken file is refused with one `InputError` line rather than read as something
else: libsndfile itself reads half a WAV, a header without samples, or NaN samples without a word.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike, DTypeLike, NDArray

from autoclip_sep.audio import lengths, plain_files, riff, sphere, stems
from autoclip_sep.audio.info import BLOCK, AudioInfo
from autoclip_sep.errors import InputError
from autoclip_sep.files import whole_file

LARGEST_SAMPLE = 1e6  # far above any scale in use (full scale is 1); beyond it a file is corrupt
HIGHEST_RATE = 2**20  # Hz, above any recorder's; the filter that resamples grows with the rate
LARGEST_WAV = 2**32 - 2**16  # bytes of samples; the lengths in its header have 32 bits
STRAY = 2**12  # bytes behind the samples: tags, and the padding of discs
_FLOATS = ("FLOAT", "DOUBLE", "VORBIS", "OPUS")  # libsndfile's names of what isn't integers
_WIDTHS = {"PCM_16": 2, "FLOAT": 4}  # bytes of a sample; others are given the widest there is, 8


@dataclass(frozen=True)
class _Source:
    """A file and what reads it: desphere if `shortened`, PyAV if `container`, or libsndfile."""

    info: AudioInfo
    shortened: sphere.Header | None = None
    container: bool = False


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """What a file is, after every check that needs no samples.

    Lengths are what decodes, not estimates; where a compressed file's header doesn't give it, all
    of the file is decoded for it.
    Raises InputError if the file is missing, isn't a plain file, isn't audio, holds no samples, is
    shorter than its own header says, or has a rate that no recording has.
    """
    return _open(path).info


def is_audio(path: str | os.PathLike[str]) -> bool:
    """Whether libsndfile, desphere or PyAV knows the file by its content, sound or broken."""
    try:
        plain_files.check(path)
        if sphere.read_header(path):
            return True
        soundfile.info(_encoded(path))
    except InputError:
        return False
    except (RuntimeError, TypeError, ValueError, OSError):
        return stems.holds_audio(path)
    return True


def read(
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    frames: int | None = None,
    dtype: DTypeLike = np.float32,
) -> tuple[NDArray[Any], int]:
    """Samples (C, T) in [-1, 1] for integer formats, and the rate in Hz.

    start, frames: the part to read, in samples; frames=None reads to the end.
    dtype: float32, float64 or int16. The last gives 16-bit files as they are stored; float samples
    and lossy ones are rounded to the nearest and clipped, those of more bits lose the rest of them.
    Raises InputError as `info` does, and for a part outside the file, a file that ends early,
    and samples that are NaN, infinite or beyond +-1e6 (naming the first).
    """
    source = _open(path)
    length, rate = source.info.frames, source.info.sample_rate
    wanted = length - start if frames is None else frames
    if start < 0 or wanted < 0 or start + wanted > length:
        raise InputError(f"{path}: samples {start} to {start + wanted} asked for, it has {length}")
    if source.shortened or source.container:
        # From the beginning on: lossy coders give other samples for a while after a seek.
        decoded = list(_decoded(path, source, BLOCK, dtype))
        samples = np.concatenate(decoded, axis=1)[:, start : start + wanted].T
    else:
        with _decoding(path):
            samples, _ = soundfile.read(
                _encoded(path), wanted, start, dtype=_read_as(source, dtype), always_2d=True
            )
    if len(samples) != wanted:
        raise InputError(f"{path}: truncated, {len(samples)} of {wanted} samples can be decoded")
    _check_samples(path, samples, start)
    return _to(dtype, samples).T, rate


def blocks(
    path: str | os.PathLike[str], size: int = BLOCK, *, dtype: DTypeLike = np.float32
) -> Iterator[NDArray[Any]]:
    """All samples, (C, size) after (C, size), the last of them shorter: what `read` gives at once.

    Raises as `read` does, an error in the samples when its block is reached. One block is in
    memory, and the whole only of a SPHERE file with Shorten, whose length sphere.py limits.
    """
    source, start = _open(path), 0
    for block in _decoded(path, source, size, dtype):
        _check_samples(path, block.T, start)
        start += block.shape[1]
        yield _to(dtype, block)
    if start != source.info.frames:
        raise InputError(
            f"{path}: truncated, {start} of {source.info.frames} samples can be decoded"
        )


def write(
    path: str | os.PathLike[str],
    samples: ArrayLike,
    sample_rate: int,
    subtype: str = "PCM_16",
) -> None:
    """Write samples (C, T) or (T,), whole or not at all; see `writing`."""
    values = np.atleast_2d(np.asarray(samples))
    with writing(path, sample_rate, len(values), values.shape[1], subtype) as add:
        add(values)


@contextmanager
def writing(
    path: str | os.PathLike[str],
    sample_rate: int,
    channels: int,
    frames: int,
    subtype: str = "PCM_16",
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Gives a function that adds samples (C, n) to a file, which appears, whole, at the end.

    The suffix of `path` names the format; .wav with more samples than its header can count is
    RF64. Missing folders are made. int16 samples are stored as they are, float samples as
    `quantise` gives them where the subtype is PCM_16, and as libsndfile converts them elsewhere.
    Raises OSError naming the file. Whatever ends the `with` early, Ctrl-C included, removes the
    temporary file and leaves an older file as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = target.suffix[1:].upper()
    if kind == "WAV" and frames * channels * _WIDTHS.get(subtype, 8) > LARGEST_WAV:
        kind = "RF64"
    with (
        whole_file(target) as sink,
        soundfile.SoundFile(sink, "w", sample_rate, channels, subtype, format=kind) as sound,
    ):

        def add(samples: NDArray[Any]) -> None:
            exact = subtype != "PCM_16" or samples.dtype == np.int16
            sound.write(samples.T if exact else quantise(samples.T))
            sink.check()

        yield add


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


class _Forward(soundfile.SoundFile):
    """Reads on without a seek: after one, Opus gives other samples for a while."""

    def seekable(self) -> bool:
        """No; soundfile then leaves the position alone."""
        return False


def _open(path: str | os.PathLike[str]) -> _Source:
    """What the file is and what is to read it."""
    plain_files.check(path)
    nist = sphere.read_header(path)
    if nist and nist.shortened:
        said = AudioInfo(nist.frames, nist.sample_rate, nist.channels, "NIST", "PCM_16")
        source = _Source(said, shortened=nist)
    else:
        claim = riff.Claim(nist.missing_bytes) if nist else riff.claim(path)
        if claim.missing:
            raise InputError(
                f"{path}: truncated, its header promises {claim.missing} bytes more than it has"
            )
        source = _known_to_libsndfile(path, claim)
    if source.info.frames <= 0:
        raise InputError(f"{path}: no samples, only a header")
    if not 0 < source.info.sample_rate <= HIGHEST_RATE:
        raise InputError(
            f"{path}: its header says {source.info.sample_rate} Hz, which no recording has"
        )
    return source


def _encoded(path: str | os.PathLike[str]) -> bytes:
    """For libsndfile, whatever bytes are in the name."""
    return os.fsencode(plain_files.as_a_path(path))


def _known_to_libsndfile(path: str | os.PathLike[str], claim: riff.Claim) -> _Source:
    """Read by libsndfile if it can, and by PyAV if libsndfile can't or is wrong on the length."""
    try:
        file = soundfile.info(_encoded(path))
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        if stems.holds_audio(path):
            if not claim.unfilled:
                _check_stray(path, claim.stray)
            return _Source(_by_pyav(path), container=True)
        raise InputError(plain_files.why_not_audio(path, _reason(error))) from error
    said = AudioInfo(file.frames, file.samplerate, file.channels, file.format, file.subtype)
    if said.frames == 0 and claim.stray:  # a stream whose length was never filled in
        with suppress(InputError):
            return _Source(stems.info(path), container=True)
    _check_stray(path, claim.stray)
    corrected = lengths.corrected(path, said)
    return _Source(corrected or said, container=corrected is not None)


def _check_stray(path: str | os.PathLike[str], stray: int) -> None:
    if stray > STRAY:
        raise InputError(
            f"{path}: {stray} bytes follow its samples that its header doesn't account for: the"
            " length in it is stale, it is larger than such a file can be, or files were joined"
        )


def _by_pyav(path: str | os.PathLike[str]) -> AudioInfo:
    """What PyAV decodes of a file that libsndfile doesn't know."""
    found = stems.info(path)
    if found.format == "OGG":
        lengths.ogg_is_right(path, found.frames)
    return found


@contextmanager
def _decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """What libsndfile says against the file becomes one line."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path}: can't be decoded ({_reason(error)})") from error


def _decoded(
    path: str | os.PathLike[str], source: _Source, size: int, dtype: DTypeLike
) -> Iterator[NDArray[Any]]:
    """The samples (C, size) after (C, size), the last shorter, as whatever reads the file gives.

    Floats may come where int16 is wanted: see _read_as.
    """
    if source.shortened:
        whole = sphere.decode(source.shortened)
        for start in range(0, len(whole), size):
            yield _as(dtype, whole[start : start + size]).T
    elif source.container:
        yield from stems.blocks(path, frames=source.info.frames, size=size, dtype=dtype)
    else:
        with _decoding(path), _Forward(_encoded(path)) as file:
            while len(samples := file.read(size, _read_as(source, dtype), always_2d=True)):
                yield samples.T


def _read_as(source: _Source, dtype: DTypeLike) -> str:
    """What libsndfile is asked for: its int16 of floats isn't scaled, and of Vorbis wraps round."""
    exact = np.dtype(dtype) != np.int16 or source.info.subtype not in _FLOATS
    return np.dtype(dtype).name if exact else "float32"


def _to(dtype: DTypeLike, samples: NDArray[Any]) -> NDArray[Any]:
    """What was read, as int16 where that is wanted, rounded as PyAV does."""
    if samples.dtype == np.dtype(dtype):
        return samples
    scaled: NDArray[Any] = np.rint(samples * np.float32(2**15))
    return scaled.clip(-(2**15), 2**15 - 1).astype(np.int16)


def _as(dtype: DTypeLike, samples: NDArray[np.int16]) -> NDArray[Any]:
    """int16 samples as they are, or in [-1, 1] for the other types."""
    return samples if np.dtype(dtype) == np.int16 else (samples / 2.0**15).astype(dtype)


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
