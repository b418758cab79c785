"""What a file is, and which library reads it, after every check that needs no samples."""

import os
from contextlib import suppress
from dataclasses import dataclass

import soundfile

from autoclip_sep.audio import lengths, plain_files, riff, sphere, stems
from autoclip_sep.audio.info import AudioInfo
from autoclip_sep.errors import InputError

HIGHEST_RATE = 2**20  # Hz, above any recorder's; the filter that resamples grows with the rate
STRAY = 2**12  # bytes behind the samples: tags, and the padding of discs
ERRORS = (RuntimeError, TypeError, ValueError, OSError)  # of soundfile


@dataclass(frozen=True)
class Source:
    """A file and what reads it: desphere if `shortened`, PyAV if `container`, or libsndfile."""

    info: AudioInfo
    shortened: sphere.Header | None = None
    container: bool = False


def open_source(path: str | os.PathLike[str]) -> Source:
    """What the file is. Raises InputError as `soundfiles.info` does."""
    plain_files.check(path)
    nist = sphere.read_header(path)
    if nist and nist.shortened:
        header = AudioInfo(nist.frames, nist.sample_rate, nist.channels, "NIST", "PCM_16")
        source = Source(header, shortened=nist)
    else:
        claim = riff.Claim(nist.missing_bytes) if nist else riff.claim(path)
        if claim.missing:
            raise InputError(
                f"{path}: truncated, its header promises {claim.missing} bytes more than it has"
            )
        source = _not_shortened(path, claim)
    if source.info.frames <= 0:
        raise InputError(f"{path}: no samples, only a header")
    if not 0 < source.info.sample_rate <= HIGHEST_RATE:
        raise InputError(
            f"{path}: its header has {source.info.sample_rate} Hz, which no recording has"
        )
    return source


def _not_shortened(path: str | os.PathLike[str], claim: riff.Claim) -> Source:
    """Read by libsndfile if it can, and by PyAV if libsndfile can't or is wrong on the length."""
    try:
        file = soundfile.info(encoded(path))
    except ERRORS as error:
        if not stems.holds_audio(path):
            raise InputError(plain_files.why_not_audio(path, reason(error))) from error
        if not claim.unfilled:
            _check_stray(path, claim.stray)
        found = stems.info(path)
        if found.format == "OGG":
            lengths.ogg_is_right(path, found.frames)
        return Source(found, container=True)
    header = AudioInfo(file.frames, file.samplerate, file.channels, file.format, file.subtype)
    if header.frames == 0 and claim.stray:  # a stream whose length was never filled in
        with suppress(InputError):
            return Source(stems.info(path), container=True)
    _check_stray(path, claim.stray)
    corrected = lengths.corrected(path, header)
    return Source(corrected or header, container=corrected is not None)


def _check_stray(path: str | os.PathLike[str], stray: int) -> None:
    if stray > STRAY:
        raise InputError(
            f"{path}: {stray} bytes follow its samples that its header doesn't account for: the"
            " length in it is stale, it is larger than such a file can be, or files were joined"
        )


def encoded(path: str | os.PathLike[str]) -> bytes:
    """The path for libsndfile, whatever bytes are in it."""
    return os.fsencode(plain_files.as_a_path(path))


def reason(error: Exception) -> str:
    """libsndfile's own sentence, without the path and on one line."""
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")
