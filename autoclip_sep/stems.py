"""Several sounds in one file (.stem.mp4), read by PyAV, whose wheel carries the codecs.

Lossy streams come in blocks of samples, so the last block reaches past the end of the music, and
only decoding tells how far. The encoder's delay is the same in all streams of a file and is left
to the decoder, as ffmpeg (and with it musdb) does.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep import plain_files
from autoclip_sep.audio import BLOCK, AudioInfo
from autoclip_sep.errors import InputError
from autoclip_sep.optional import require

SLACK = 2048  # samples: streams of one piece may end this far apart, two blocks of an AAC encoder


def info(path: str | os.PathLike[str], streams: Collection[int]) -> AudioInfo:
    """What the audio streams of these numbers (from 0) have in common; decodes all of them.

    Its frames are those of the shortest stream. Raises InputError as `read` does, and for streams
    of different rates, channels, or lengths (beyond two blocks).
    """
    with _opened(path) as container:
        chosen = [_stream(path, container, number) for number in sorted(streams)]
        lengths = dict.fromkeys((stream.index for stream in chosen), 0)
        for packet in container.demux(chosen):
            lengths[packet.stream.index] += sum(frame.samples for frame in packet.decode())
        for stream in chosen:
            _check_whole(path, stream, lengths[stream.index])
        shapes = {(stream.codec_context.sample_rate, stream.codec_context.channels)
                  for stream in chosen}  # fmt: skip
        codec = chosen[0].codec_context.codec.name
    shortest, longest = min(lengths.values()), max(lengths.values())
    if len(shapes) > 1 or longest - shortest > SLACK:
        rows = ", ".join(f"{rate} Hz x {channels}" for rate, channels in sorted(shapes))
        raise InputError(
            f"{path}: its streams don't belong together: {shortest} to {longest} samples, {rows}"
        )
    rate, channels = shapes.pop()
    return AudioInfo(shortest, rate, channels, "MP4", codec.upper())


def blocks(
    path: str | os.PathLike[str],
    stream: int,
    *,
    frames: int,
    size: int = BLOCK,
    dtype: DTypeLike = np.float32,
) -> Iterator[NDArray[Any]]:
    """The first `frames` samples of one audio stream in blocks (C, n), n a little above `size`.

    dtype: float32 or float64. Values are the decoder's and may exceed 1.
    Raises InputError if the file is missing, isn't a plain file, can't be decoded, has no such
    stream, is shorter than its header says, or than `frames`.
    """
    left, held, waiting = frames, 0, []
    with _opened(path) as container:
        for part in _decoded(container, _stream(path, container, stream)):
            waiting.append(part[:, :left])
            left -= waiting[-1].shape[1]
            held += waiting[-1].shape[1]
            if left == 0 or held >= size:
                yield np.concatenate(waiting, axis=1).astype(dtype, copy=False)
                held, waiting = 0, []
            if left == 0:
                return
    raise InputError(f"{path}: stream {stream} has {frames - left} samples, not {frames}")


def _decoded(container: Any, stream: Any) -> Iterator[NDArray[np.float32]]:
    """The stream's samples (C, n) as its codec packed them."""
    # Lossless streams are integers; this leaves float ones as they are.
    planar = require("av", "reading stems").AudioResampler(format="fltp")
    for frame in container.decode(stream):
        for part in planar.resample(frame):
            yield part.to_ndarray()


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The container; whatever goes wrong inside becomes one line."""
    av = require("av", "reading stems")
    plain_files.check(path)
    try:
        with av.open(os.fspath(path)) as container:
            yield container
    except av.FFmpegError as error:
        raise InputError(f"{path}: can't be decoded as stems ({error.strerror})") from error


def _stream(path: str | os.PathLike[str], container: Any, number: int) -> Any:
    found = container.streams.audio
    if number >= len(found):
        raise InputError(f"{path}: {len(found)} audio streams, number {number} is wanted (from 0)")
    return found[number]


def _check_whole(path: str | os.PathLike[str], stream: Any, decoded: int) -> None:
    rate = stream.codec_context.sample_rate
    promised = int((stream.duration or 0) * stream.time_base * rate)
    if decoded == 0 or decoded < promised - SLACK:
        raise InputError(f"{path}: truncated, {decoded} of {promised} samples can be decoded")
