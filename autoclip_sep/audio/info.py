"""The header of an audio file, whichever library reads it."""

from dataclasses import dataclass

# A file of such a name that holds no sound is broken; one of another name may just be no sound.
SUFFIXES = {
    ".aac", ".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg",
    ".opus", ".sph", ".w64", ".wav", ".webm", ".wma", ".wv1",
}  # fmt: skip
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
