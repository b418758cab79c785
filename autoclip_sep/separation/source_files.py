"""Separated sources, written block by block into files that are whole or absent."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.audio import soundfiles


def write_sources(
    blocks: Iterable[NDArray[np.float32]], paths: Sequence[Path], sample_rate: int
) -> None:
    """Write blocks (S, C, n) into one file for each source, in 16 bits if it never exceeds 1.

    A source that does is stored in floats. Since that isn't known before the last block, samples
    are buffered on the disk, in unnamed files that end with this process. The files of all sources
    appear at the end. Raises OSError, and leaves none, where the disk is full.
    """
    with ExitStack() as stack:
        # In the nearest existing folder: a refused input shouldn't leave a new one behind.
        place = next(folder for folder in paths[0].absolute().parents if folder.exists())
        with _naming(place):
            buffers = [stack.enter_context(TemporaryFile(dir=place)) for _ in paths]
        fits = [True] * len(paths)
        channels = frames = 0
        for block in blocks:
            channels = block.shape[1]
            frames += block.shape[2]
            for number, (source, file) in enumerate(zip(block, buffers, strict=True)):
                with _naming(place):
                    file.write(np.ascontiguousarray(source.T, np.float32).data)
                    file.flush()
                fits[number] &= bool(np.abs(source).max(initial=0.0) <= 1.0)
        for path, file, small in zip(paths, buffers, fits, strict=True):
            subtype = "PCM_16" if small else "FLOAT"
            writing = soundfiles.writing(path, sample_rate, channels, frames, subtype)
            add = stack.enter_context(writing)
            for samples in _read(file, channels):
                add(samples)
            file.close()  # frees its disk space


@contextmanager
def _naming(place: Path) -> Iterator[None]:
    """An OSError about an unnamed file names its folder."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from error


def _read(file: IO[bytes], channels: int) -> Iterator[NDArray[Any]]:
    """All samples of the file, blockwise (C, n)."""
    file.seek(0)
    while content := file.read(4 * channels * soundfiles.BLOCK):
        yield np.frombuffer(content, np.float32).reshape(-1, channels).T
