"""What is known of an audio file before its samples are read, whichever library reads it."""

from dataclasses import dataclass

BLOCK = 2**18  # samples per channel: what a file is read in where it may be long


@dataclass(frozen=True)
class AudioInfo:
    """Samples per channel, rate in Hz, channels; format and subtype by the reader's own names.

    sounds: how many the file holds; the rest is about the first of them, or those asked for.
    """

    frames: int
    sample_rate: int
    channels: int
    format: str
    subtype: str
    sounds: int = 1
