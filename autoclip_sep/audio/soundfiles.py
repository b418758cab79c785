"""Audio files: read, write, and refuse what isn't sound.

SPHERE files with Shorten go through sphere.py; what libsndfile doesn't know, or misjudges the
length of, through PyAV (stems.py): its first sound where it holds several. A broken file is refused
with one `InputError` line rather than read as something else: libsndfile itself silently reads half
a WAV, a header without samples, or NaN samples.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike, DTypeLike, NDArray

from autoclip_sep.audio import plain_files, sphere, stems
from autoclip_sep.audio._opening import ERRORS, Source, encoded, open_source, reason
from autoclip_sep.audio.info import BLOCK, AudioInfo
from autoclip_sep.errors import InputError
from autoclip_sep.files import whole_file

LARGEST_SAMPLE = 1e6  # far above any scale in use (full scale is 1); beyond it a file is corrupt
LARGEST_WAV = 2**32 - 2**16  # bytes of samples; the lengths in its header have 32 bits
_FLOATS = ("FLOAT", "DOUBLE", "VORBIS", "OPUS")  # libsndfile's names of what isn't integers
_WIDTHS = {"PCM_16": 2, "FLOAT": 4}  # bytes of a sample; others are given the widest there is, 8


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """What a file is, after every check that needs no samples.

    Lengths are what decodes, not estimates; where a compressed file's header doesn't give it, all
    of the file is decoded for it.
    Raises InputError if the file is missing, isn't a plain file, isn't audio, holds no samples, is
    shorter than its own header says, or has a rate that no recording has.
    """
    return open_source(path).info


def is_audio(path: str | os.PathLike[str]) -> bool:
    """Whether libsndfile, desphere or PyAV knows the file by its content, whole or broken."""
    try:
        plain_files.check(path)
        if sphere.read_header(path):
            return True
        soundfile.info(encoded(path))
    except InputError:
        return False
    except ERRORS:
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
    source = open_source(path)
    length, rate = source.info.frames, source.info.sample_rate
    number = length - start if frames is None else frames
    if start < 0 or number < 0 or start + number > length:
        raise InputError(f"{path}: samples {start} to {start + number} asked for, it has {length}")
    if source.shortened or source.container:
        # From the beginning on: lossy coders give other samples for a while after a seek.
        decoded = list(_decoded(path, source, BLOCK, dtype))
        samples = np.concatenate(decoded, axis=1)[:, start : start + number].T
    else:
        with _decoding(path):
            samples, _ = soundfile.read(
                encoded(path), number, start, dtype=_read_as(source, dtype), always_2d=True
            )
    if len(samples) != number:
        raise InputError(f"{path}: truncated, {len(samples)} of {number} samples can be decoded")
    check_samples(path, samples, start)
    return _converted(samples, dtype).T, rate


def blocks(
    path: str | os.PathLike[str], size: int = BLOCK, *, dtype: DTypeLike = np.float32
) -> Iterator[NDArray[Any]]:
    """All samples, (C, size) after (C, size), the last of them shorter: what `read` gives at once.

    Raises as `read` does, an error in the samples when its block is reached. One block is in
    memory; of a SPHERE file with Shorten, whose length sphere.py limits, the whole.
    """
    source, start = open_source(path), 0
    for block in _decoded(path, source, size, dtype):
        check_samples(path, block.T, start)
        start += block.shape[1]
        yield _converted(block, dtype)
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


class _Forward(soundfile.SoundFile):
    """Reads on without a seek: after one, Opus gives other samples for a while."""

    def seekable(self) -> bool:
        """No; soundfile then leaves the position alone."""
        return False


@contextmanager
def _decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """libsndfile's errors become one line."""
    try:
        yield
    except ERRORS as error:
        raise InputError(f"{path}: can't be decoded ({reason(error)})") from error


def _decoded(
    path: str | os.PathLike[str], source: Source, size: int, dtype: DTypeLike
) -> Iterator[NDArray[Any]]:
    """Blocks (C, size), the last shorter, as the library that reads the file gives them.

    Of SPHERE files int16 for any dtype, of floats what `_read_as` says: see `_converted`.
    """
    if source.shortened:
        whole = sphere.decode(source.shortened)
        for start in range(0, len(whole), size):
            yield whole[start : start + size].T
    elif source.container:
        yield from stems.blocks(path, frames=source.info.frames, size=size, dtype=dtype)
    else:
        with _decoding(path), _Forward(encoded(path)) as file:
            while len(samples := file.read(size, _read_as(source, dtype), always_2d=True)):
                yield samples.T


def _read_as(source: Source, dtype: DTypeLike) -> str:
    """The dtype to ask of libsndfile: its int16 of floats isn't scaled, and of Vorbis wraps."""
    exact = np.dtype(dtype) != np.int16 or source.info.subtype not in _FLOATS
    return np.dtype(dtype).name if exact else "float32"


def _converted(samples: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Floats from int16 in [-1, 1]; int16 from floats rounded and clipped as PyAV does."""
    if samples.dtype == np.dtype(dtype):
        return samples
    if samples.dtype == np.int16:
        return (samples / 2.0**15).astype(dtype)
    scaled: NDArray[Any] = np.rint(samples * np.float32(2**15))
    return scaled.clip(-(2**15), 2**15 - 1).astype(np.int16)


def check_samples(path: str | os.PathLike[str], samples: NDArray[Any], start: int) -> None:
    """Raises InputError for the first of the samples (n, C) that is no usable amplitude.

    start: how many there were before.
    """
    if samples.dtype.kind != "f" or samples.size == 0:
        return
    # One pass tells good files from bad ones: NaN and infinities survive minimum and maximum.
    if abs(samples.min()) <= LARGEST_SAMPLE and abs(samples.max()) <= LARGEST_SAMPLE:
        return
    bad = ~(np.abs(samples) <= LARGEST_SAMPLE)
    index = int(np.argmax(bad.any(axis=1)))
    value = samples[index][bad[index]][0]
    raise InputError(f"{path}: sample {start + index} is {value}, not a usable amplitude")
