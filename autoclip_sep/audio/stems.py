"""Audio streams of containers, decoded by PyAV, whose wheel brings ffmpeg's codecs.

For what libsndfile can't read, or gets the length of wrong: one stream (.m4a, .webm, .wma) or
several (.stem.mp4). Lossy streams come in blocks of samples, so that the last block reaches past
the end of the music, and only decoding shows how far. The encoder's delay is the same in all
streams of a file and is left to the decoder, as in ffmpeg and musdb.
"""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoclip_sep.audio import mp3_tags, plain_files
from autoclip_sep.audio.info import BLOCK, AudioInfo
from autoclip_sep.errors import InputError
from autoclip_sep.optional import require

SLACK = 2048  # samples: streams of one piece may end this far apart, two blocks of an AAC encoder
LOST = 8192  # samples: a container's length may be off by this much, and nothing is lost
# Formats that are recognised by content, and open no other files as playlists do. ffmpeg has
# hundreds more, some recognised by the file's name only.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,tak,tta,w64,wav,webm,wv"
)
UNINDEXED = 0x100  # ffmpeg's flag of formats that have no table of contents: lengths are estimates
MPEG_FRAME = re.compile(rb"\xff[\xe2-\xff][^\xf0-\xff]", re.DOTALL)  # how its header begins
# Rounded to the nearest and clipped for int16, not dithered.
_SAMPLES = {"int16": "s16p", "float32": "fltp", "float64": "dblp"}


def info(path: str | os.PathLike[str], streams: Collection[int] = (0,)) -> AudioInfo:
    """The header of the audio streams of these numbers (from 0), which are decoded for it.

    Its frames are those of the shortest stream. Raises InputError as `blocks` does, and for streams
    of different rates, channels, or lengths (beyond two blocks).
    """
    with opened(path) as container:
        chosen = [_stream(path, container, number) for number in sorted(streams)]
        lengths = dict.fromkeys((stream.index for stream in chosen), 0)
        shapes: set[tuple[int, int]] = set()
        ends = dict.fromkeys(range(len(container.streams)), 0)  # of pictures, too
        for packet in container.demux():
            index, end = packet.stream.index, (packet.pts or 0) + (packet.duration or 0)
            ends[index] = max(end, ends[index])
            if index in lengths:
                for frame in _decode(packet):
                    lengths[index] += frame.samples
                    shapes.add((frame.sample_rate, frame.layout.nb_channels))
        seconds = max(float(ends[s.index] * s.time_base) for s in container.streams if s.time_base)
        for stream in chosen:
            _check_whole(path, container, stream, lengths[stream.index], seconds)
        name, codec = container.format.name, chosen[0].codec_context.codec.name
        sounds = len(container.streams.audio)
    shortest, longest = min(lengths.values()), max(lengths.values())
    if len(shapes) > 1 or longest - shortest > SLACK:
        rows = ", ".join(f"{rate} Hz x {channels}" for rate, channels in sorted(shapes))
        raise InputError(
            f"{path}: its streams, or parts of one, differ: {shortest} to {longest} samples, {rows}"
        )
    rate, channels = shapes.pop()
    kind = name.partition(",")[0].upper()
    return AudioInfo(shortest, rate, channels, kind, codec.upper(), sounds)


def blocks(
    path: str | os.PathLike[str],
    stream: int = 0,
    *,
    frames: int,
    size: int = BLOCK,
    dtype: DTypeLike = np.float32,
) -> Iterator[NDArray[Any]]:
    """The first `frames` samples of one audio stream, (C, size) after (C, size), the last shorter.

    dtype: float32, float64, or int16. Floats are the decoder's and may exceed 1; for int16 they are
    rounded to the nearest and clipped, as ffmpeg does for `-f s16le`.
    Raises InputError if the file is missing, isn't a plain file, can't be decoded, has no such
    stream, is shorter than its header says, or than `frames`.
    """
    left, held, waiting = frames, 0, list[NDArray[Any]]()
    with opened(path) as container:
        for part in _decoded(container, _stream(path, container, stream), np.dtype(dtype).name):
            waiting.append(part[:, :left])
            left -= waiting[-1].shape[1]
            held += waiting[-1].shape[1]
            if left > 0 and held < size:
                continue
            joined = np.concatenate(waiting, axis=1)
            while held >= size or (left == 0 and held > 0):
                yield joined[:, :size]
                joined = joined[:, size:]
                held = joined.shape[1]
            waiting = [joined]
            if left == 0:
                return
    raise InputError(f"{path}: stream {stream} has {frames - left} samples, not {frames}")


def holds_audio(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a container that PyAV knows, with an audio stream whose start decodes.

    ffmpeg also goes by names, and opens an empty a.flac.
    """
    try:
        with opened(path) as container:
            packets = container.demux(container.streams.audio[:1])
            return any(_decode(packet) for packet in packets) if container.streams.audio else False
    except InputError:
        return False


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The container; ffmpeg's errors inside the `with` become one line."""
    av = require("av", "reading compressed audio")
    plain_files.check(path)
    try:
        with ExitStack() as stack:
            any_tags = {"metadata_errors": "replace"}  # tags may be in any encoding
            name, only = plain_files.as_a_path(path), {"format_whitelist": FORMATS}
            container = stack.enter_context(av.open(name, options=only, **any_tags))
            if container.format.name == "mp3" and (spans := mp3_tags.sound(path)):
                file = stack.enter_context(open(path, "rb"))
                parts = mp3_tags.Parts(file, spans)
                container = stack.enter_context(av.open(parts, format="mp3", **any_tags))
            yield container
    except av.FFmpegError as error:
        raise InputError(f"{path}: can't be decoded by PyAV ({error.strerror})") from error


def _decoded(container: Any, stream: Any, dtype: str) -> Iterator[NDArray[Any]]:
    """The stream's samples (C, n) as its codec packed them."""
    convert = require("av", "reading compressed audio").AudioResampler(format=_SAMPLES[dtype])
    for packet in container.demux(stream):
        for frame in _decode(packet):
            for part in convert.resample(frame):
                yield part.to_ndarray()


def _decode(packet: Any) -> list[Any]:
    """The packet's frames of samples. Raises av.FFmpegError."""
    try:
        return list(packet.decode())
    except ValueError:  # av.InvalidDataError is one
        # Where MP3s were joined, the tag between them comes in one packet with the next frame.
        found = MPEG_FRAME.search(bytes(packet))
        if packet.stream.codec_context.name not in ("mp3", "mp3float") or (
            found and found.start() == 0
        ):
            raise
        if not found:
            return []
        rest = require("av", "reading MP3").Packet(bytes(packet)[found.start() :])
        return list(packet.stream.codec_context.decode(rest))


def _stream(path: str | os.PathLike[str], container: Any, number: int) -> Any:
    found = container.streams.audio
    if number >= len(found):
        raise InputError(f"{path}: {len(found)} audio streams, no number {number} (from 0)")
    return found[number]


def _check_whole(
    path: str | os.PathLike[str], container: Any, stream: Any, decoded: int, seconds: float
) -> None:
    """Compare with the length in the header, if any: the stream's, or else the container's."""
    rate = stream.codec_context.sample_rate
    if container.format.flags & UNINDEXED:
        promised, there = 0.0, float(decoded)
    elif stream.duration is not None:
        promised, there = float(stream.duration * stream.time_base * rate), float(decoded)
    else:
        promised, there = (container.duration or 0) * 1e-6 * rate, seconds * rate
    if decoded == 0 or there < promised - LOST:
        raise InputError(f"{path}: truncated, {there:.0f} of {promised:.0f} samples can be decoded")
