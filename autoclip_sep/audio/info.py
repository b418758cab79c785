"""The header of an audio file, whichever library reads it."""

from dataclasses import dataclass

BLOCK = 2**18  # samples per channel that are read at a time where a file may be long


@dataclass(frozen=True)
class AudioInfo:
    """Samples per channel, rate in Hz, channels; format and subtype as the library names them.

    sounds: audio streams in the file; the rest is about the first of them, or those asked for.
    """

    frames: int
    sample_rate: int
    channels: int
    format: str
    subtype: str
    sounds: int = 1
