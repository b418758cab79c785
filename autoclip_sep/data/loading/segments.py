"""Batches of segments: which items and which part of each is a pure function of the seed.

The order and the crops of an epoch follow from (seed, epoch) by a counter-based generator, whose
raw output numpy promises to keep; position in the epoch picks from them. So it doesn't matter
which process reads a batch, in what order, or where a run was interrupted.
"""

from functools import lru_cache, reduce
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.names import some
from autoclip_sep.types import Batch

AHEAD = 4  # steps


@lru_cache(maxsize=4)
def epoch_plan(items: int, seed: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Order (items,) of an epoch, and where in [0, 1) each position's crop lies (items,)."""
    generator = np.random.Philox(np.random.SeedSequence([seed, epoch]))
    raw = generator.random_raw(2 * items)
    order: NDArray[np.int64] = np.argsort(raw[:items], kind="stable").astype(np.int64)
    places: NDArray[np.float64] = (raw[items:] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return order, places


class Segments(Dataset[Batch]):
    """Training batches of one split, addressed by (epoch, step).

    batch_size: examples of the whole batch, of which rank of world reads its own equal part.
    segment: samples per example, shorter items are zero-padded at the end; None takes whole items,
    padded to the longest. The items left over at an epoch's end are not served in it.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        segment: int | None,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.split = split
        self.batch_size, self.segment, self.seed = batch_size, segment, seed
        self.own = slice(rank * batch_size // world, (rank + 1) * batch_size // world)

    def __len__(self) -> int:
        """Examples per epoch."""
        return len(self.split)

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self) // self.batch_size

    def examples(self, step: int) -> NDArray[np.int64]:
        """Numbers in the epoch of this rank's examples of a batch."""
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size)[self.own]

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, step = key
        items, starts = self.drawn(epoch, self.examples(step))
        frames = self.segment or int(self.split.lengths[items].max())
        batch = segments(self.split, items, starts, frames)
        if self.split.far:
            self._fetch_ahead(epoch, step)
        return batch

    def _fetch_ahead(self, epoch: int, step: int) -> None:
        """Begin to get what the next steps need."""
        for later in range(step + 1, min(step + 1 + AHEAD, self.steps)):
            items, starts = self.drawn(epoch, self.examples(later))
            room = self.split.lengths[items] - starts
            self.split.fetch(items, starts, np.minimum(room, self.segment or room), wait=False)

    def drawn(
        self, epoch: int, examples: slice | NDArray[np.int64] = slice(None)
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items (examples,) of an epoch, by default all, and where each one's segment starts."""
        order, places = epoch_plan(len(self.split), self.seed, epoch)
        items = order[examples]
        if self.segment is None:
            return items, np.zeros_like(items)
        room = np.maximum(self.split.lengths[items] - self.segment, 0)
        return items, np.floor(places[examples] * (room + 1)).astype(np.int64)


@runtime_checkable
class Augmentation(Protocol):
    """Settings of how training examples are put together, where not as the corpus' own mixtures."""

    def batches(self, split: Split, *, segment: int, **share: int) -> Segments:
        """Training batches of a split; share: the other arguments of `Segments`."""


def segments(
    split: Split, items: NDArray[np.int64], starts: NDArray[np.int64], frames: int
) -> Batch:
    """`frames` samples of each item from its start on, zero-padded; mixtures are sums."""
    shape = (len(items), len(split.targets), split.channels, frames)
    stored: NDArray[Any] = np.zeros(shape, dtype=split.dtype)
    lengths = np.minimum(split.lengths[items] - starts, frames)
    split.fetch(items, starts, lengths)
    for row, item, start, length in zip(
        stored, items.tolist(), starts.tolist(), lengths.tolist(), strict=True
    ):
        row[..., :length] = split.signals(item, start, length)
    signals = torch.from_numpy(stored).to(torch.float32)
    if split.scale != 1.0:
        signals *= split.scale
    return as_batch(split, signals, lengths, tuple(split.items[int(item)] for item in items))


class Recordings(Protocol):
    """What can be read whole: a split, or files of any kind.

    items: their names. lengths: (items,) samples. dtype, folder: of what is stored, and where.
    """

    items: list[str]
    lengths: NDArray[np.int64]
    dtype: np.dtype[Any]
    folder: Path

    def __len__(self) -> int:
        """How many items."""

    def load(self, i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mixture (C, T) and targets (S, C, T) of item i."""


def whole(split: Recordings, items: NDArray[np.int64]) -> Batch:
    """Items of one length, whole; mixtures are the corpus' own where the store has them."""
    if isinstance(split, Split):
        split.fetch(items, np.zeros_like(items), split.lengths[items])
    pairs = [split.load(int(item)) for item in items]
    mixture = torch.from_numpy(np.stack([mixture for mixture, _ in pairs]))
    sources = torch.from_numpy(np.stack([sources for _, sources in pairs]))
    names = tuple(split.items[int(item)] for item in items)
    check_finite(split, mixture, names)
    check_finite(split, sources, names)
    return Batch(mixture, sources, torch.from_numpy(split.lengths[items]), names)


def as_batch(
    split: Split, signals: Tensor, lengths: NDArray[np.int64], names: tuple[str, ...]
) -> Batch:
    """All signals (B, signals, C, T) of some examples: the mixtures are their sums."""
    mixture = reduce(torch.add, signals.unbind(dim=1))  # twice as fast as a sum over the axis
    check_finite(split, mixture, names)
    targets = signals if split.targets.all() else signals[:, torch.from_numpy(split.targets)]
    return Batch(mixture, targets, torch.from_numpy(lengths), names)


def check_finite(split: Recordings, waveforms: Tensor, names: tuple[str, ...]) -> None:
    """Refuse NaN, infinity and what overflows when squared: (B, ...) waveforms.

    Before a network sees them: BatchNorm's statistics would keep a NaN although the step is
    skipped. They aren't left out: the store was checked when it was made, so it is damaged.
    """
    if split.dtype.kind != "f" or _is_finite(waveforms):
        return
    bad = [name for name, one in zip(names, waveforms, strict=True) if not _is_finite(one)]
    shown = some(bad)
    raise InputError(
        f"{split.folder}: samples of {shown} are non-finite or far from [-1, 1]; delete the folder,"
        " it is made again"
    )


def _is_finite(waveform: Tensor) -> bool:
    """Whether its sum of squares is finite: 40 times as fast as a test of every sample."""
    flat = waveform.reshape(-1)
    return bool(torch.isfinite(flat @ flat))
