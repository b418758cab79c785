"""Training batches cut from samples that lie in the device's memory.

The host reads and copies nothing in a step. Order, places and samples are those of `Segments`, to
the bit: integers become float32 without rounding, and a product is the same on every device.
"""

from functools import reduce

import numpy as np
import torch
from torch import Tensor

from autoclip_sep.data.loading.segments import Augmentation, Segments, check_finite
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.types import Batch


class DeviceSegments(Segments):
    """`Segments` from a copy of the split on `device`, as stored: 2 or 4 bytes a sample.

    The other arguments are those of `Segments`; segment can't be None. Raises InputError where the
    copy doesn't fit, and for samples that aren't finite.
    """

    segment: int

    def __init__(self, split: Split, device: torch.device, *, segment: int, **share: int) -> None:
        super().__init__(split, segment=segment, **share)
        self.device = device
        rows = len(split.targets) * split.channels
        self._ends = np.cumsum(rows * split.lengths)  # of each item in the copy
        self._samples = self._copy()
        self._rows = torch.arange(rows, device=device)[:, None]
        self._times = torch.arange(segment, device=device)
        self._targets = torch.from_numpy(np.flatnonzero(split.targets)).to(device)
        self._epoch = -1

    def _copy(self) -> Tensor:
        """Every item's signals (signals, C, T), one after the other."""
        total = int(self._ends[-1])
        host = torch.empty(total, dtype=torch.from_numpy(np.empty(0, self.split.dtype)).dtype)
        for i, end in enumerate(self._ends.tolist()):
            signals = torch.from_numpy(self.split.signals(i).copy())
            check_finite(self.split, signals[None], (self.split.items[i],))
            host[end - signals.numel() : end] = signals.flatten()
        try:
            return host.to(self.device)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"trainer.store_on_device: {1e-9 * host.nbytes:.1f} GB of samples don't fit on"
                f" {self.device}; leave it out"
            ) from error

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, step = key
        if epoch != self._epoch:
            self._begin(epoch)
        own = slice(step * self.batch_size + self.own.start, step * self.batch_size + self.own.stop)
        first, lengths, frames = self._first[own], self._lengths[own], self._frames[own]
        places = first[:, None, None] + lengths[:, None, None] * self._rows + self._times
        beyond = self._times >= frames[:, None]  # (B, T): zero-padded
        stored = self._samples[places.clamp_(max=len(self._samples) - 1)]
        signals = stored.float().masked_fill_(beyond[:, None], 0.0)
        if self.split.scale != 1.0:
            signals *= self.split.scale
        signals = signals.unflatten(1, (-1, self.split.channels))  # (B, signals, C, T)
        mixture = reduce(torch.add, signals.unbind(dim=1))
        targets = signals if self.split.targets.all() else signals[:, self._targets]
        names = tuple(self.split.items[item] for item in self._items[own])
        return Batch(mixture, targets, frames, names)

    def _begin(self, epoch: int) -> None:
        """Move what an epoch draws to the device: where each example begins in the copy."""
        items, starts = self.drawn(epoch)
        lengths = self.split.lengths[items]
        ends = self._ends[items] - len(self._rows) * lengths  # of the item before
        columns = (ends + starts, lengths, np.minimum(lengths - starts, self.segment))
        self._first, self._lengths, self._frames = (
            torch.from_numpy(column).to(self.device) for column in columns
        )
        self._items: list[int] = items.tolist()
        self._epoch = epoch


def check_no_augmentation(augmentation: Augmentation | None) -> None:
    """Raises InputError where examples are put together anew, which the host does."""
    if augmentation is not None:
        raise InputError(
            "trainer.store_on_device: not with data.augmentation, which mixes on the host; leave"
            " one of the two out (data.augmentation=null)"
        )
