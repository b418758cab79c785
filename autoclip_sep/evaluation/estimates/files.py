"""Files of references as a split's items, files of estimates as the system that made them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.info import AudioInfo
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.estimates.matching import ItemFiles, Matched
from autoclip_sep.parallel import in_parallel
from autoclip_sep.types import Batch

FEW = 200  # items whose headers are read sooner than other processes start


class References:
    """What a split of a store is to the scoring of a corpus.

    items: their names. lengths: (items,) int64, samples of each. dtype, folder: of the samples, and
    for messages about them. notes: on estimates of other lengths.

    Raises InputError for files that can't be read, and for those of an item that differ in sample
    rate, channels or length. tolerance: samples by which estimates may be longer or shorter.
    """

    def __init__(self, matched: Matched, tolerance: int = 0, progress: bool = True) -> None:
        self.matched, self.dtype = matched, np.dtype(np.float32)
        self.folder = matched.items[0].references[0].parent
        wrong: list[str] = []
        measure = partial(_measure, tolerance=tolerance)
        found = in_parallel(
            measure, matched.items, label="headers", failures=wrong, progress=progress,
            jobs=None if len(matched.items) > FEW else 1,
        )  # fmt: skip
        wrong += _unlike(matched.items, [header for header, _ in found] if not wrong else [])
        if wrong:
            more = f" ({len(wrong)} of {len(matched.items)} items can't be scored)"
            raise InputError(wrong[0] + more)
        self.items = [item.name for item in matched.items]
        self.lengths: NDArray[np.int64] = np.array([header.frames for header, _ in found])
        self.sample_rate = found[0][0].sample_rate
        off = [samples for _, samples in found if samples]
        self.notes = [
            ("lengths", f"estimates of {len(off)} items cut or padded by up to {max(off)} samples")
        ] if off else []  # fmt: skip

    def __len__(self) -> int:
        return len(self.items)

    def load(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mixture (C, T) and sources (S, C, T) of item i.

        The mixture is its file's, or the sum of all references; silence where there is only one.
        """
        item = self.matched.items[i]
        sources = _read(item.references)
        if item.mixture is not None:
            return _read([item.mixture])[0], sources
        signals = [sources, _read(item.others)] if item.others else [sources]
        summed = np.concatenate(signals).sum(axis=0)
        return summed if len(sources) + len(item.others) > 1 else np.zeros_like(summed), sources

    def digest(self) -> str:
        """Of all files' names, sizes and times: another one where scores may be others."""
        state = hashlib.sha256()
        for item in self.matched.items:
            for path in item.all:
                stat = os.stat(path)
                state.update(
                    f"{path.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(
                        errors="replace"
                    )
                )
        return state.hexdigest()


@dataclass(frozen=True)
class Estimates:
    """Files as a system: what it separated before."""

    matched: Matched
    device: torch.device

    @property
    def sources(self) -> int:
        """S."""
        return len(self.matched.sources)

    @property
    def permute(self) -> bool:
        """Whether the sources' names don't tell which estimate is whose."""
        return self.matched.permute

    def whole(self, batch: Batch) -> Tensor:
        """(B, S, C, T) on the CPU; longer files are cut, shorter ones end in zeros."""
        length = batch.mixture.shape[-1]
        signals = [torch.from_numpy(_read(self._paths[name], length)) for name in batch.items]
        return torch.stack(signals)

    @cached_property
    def _paths(self) -> dict[str, tuple[Path, ...]]:
        return {item.name: item.estimates for item in self.matched.items}


def _measure(item: ItemFiles, tolerance: int) -> tuple[AudioInfo, int]:
    """The header of an item's references, and how many samples its estimates are off (task)."""
    first, *rest = item.all
    header, off = soundfiles.info(first), 0
    for path in rest:
        other = soundfiles.info(path)
        allowed = tolerance if path in item.estimates else 0
        apart = abs(other.frames - header.frames)
        if _shape(other) != _shape(header):
            raise InputError(f"{path} is {_words(other)}, {first} is {_words(header)}")
        if apart > allowed:
            advice = f"; tolerance={apart} cuts or pads estimates" if path in item.estimates else ""
            raise InputError(
                f"{path} has {other.frames} samples, {first} has {header.frames}{advice}"
            )
        off = max(off, apart)
    return header, off


def _unlike(items: Sequence[ItemFiles], headers: Sequence[AudioInfo]) -> list[str]:
    """Items of another sample rate, or other channels, than the first."""
    first = f"{items[0].references[0]} is {_words(headers[0])}" if headers else ""
    return [
        f"{item.references[0]} is {_words(header)}, {first}"
        for item, header in zip(items[: len(headers)], headers, strict=True)
        if _shape(header) != _shape(headers[0])
    ]


def _shape(header: AudioInfo) -> tuple[int, int]:
    return header.sample_rate, header.channels


def _words(header: AudioInfo) -> str:
    return f"{header.sample_rate} Hz x {header.channels}"


def _read(paths: Sequence[Path], length: int | None = None) -> NDArray[np.float32]:
    """Files as (number, C, T)."""
    signals = [soundfiles.read(path)[0] for path in paths]
    if length is not None:
        signals = [_of_length(signal, length) for signal in signals]
    return np.stack(signals)


def _of_length(signal: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    kept = signal[:, :length]
    return np.pad(kept, ((0, 0), (0, length - kept.shape[1])))
