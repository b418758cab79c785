"""Batches for training, validation and evaluation, the same for any number of workers."""

import os
import signal
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from multiprocessing.queues import Queue
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from autoclip_sep.data.loading.augmentation import RandomMixtures, RandomTracks
from autoclip_sep.data.loading.segments import Segments, segments, whole
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.parallel import stop_signals_blocked
from autoclip_sep.types import Batch


class Batches(Protocol):
    """What can be looped over, and knows how many batches that gives."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, step) for the steps from `start` to the end of `epoch`; both may be set anew."""

    def __init__(self, steps: int) -> None:
        self.steps, self.epoch, self.start = steps, 0, 0

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, step) for step in range(self.start, self.steps)])


class TrainingLoader:
    """Training batches epoch after epoch; its workers, if any, live as long as it does.

    Where one of them is killed, perhaps because memory ran out, `lost` says so, the others end, and
    this process reads what is left. Signals that ask to stop are for this process, not for them.

    batch_size is that of all ranks together. augmentation: how examples are put together where
    they aren't the corpus' own mixtures. The other arguments are those of `Segments`.
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
        workers: int = 0,
        pin_memory: bool = False,
        augmentation: RandomTracks | None = None,
    ) -> None:
        share = {"batch_size": batch_size, "seed": seed, "rank": rank, "world": world}
        dataset: Segments | RandomMixtures
        if augmentation is None:
            dataset = Segments(split, segment=segment, **share)
        elif segment is not None:
            dataset = RandomMixtures(split, augmentation, segment=segment, **share)
        else:
            raise InputError("segment=None: whole items can't be mixed at random")
        _check(len(dataset), batch_size, segment, world)
        self._dataset, self._sampler = dataset, EpochSampler(dataset.steps)
        self.steps = dataset.steps
        self.lost: str | None = None
        self._loader: DataLoader[Batch] | None = DataLoader(
            dataset,
            sampler=self._sampler,
            batch_size=None,  # the dataset gives whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_begin_worker,
            pin_memory=pin_memory,
            # Its own generator: DataLoader would draw its workers' seed from the global one.
            generator=torch.Generator(),
        )

    def epoch(self, epoch: int, start: int = 0) -> Batches:
        """The batches of an epoch from step `start` (counted from 0) on.

        One epoch at a time: asking for the next one ends the one before.
        """
        return _Epoch(self, epoch, start)

    def read(self, epoch: int, start: int) -> Iterator[Batch]:
        """What `epoch` gives to a loop."""
        step = start
        try:
            for batch in self._begin(epoch, start):
                step += 1
                yield batch
        except Exception as error:
            if self._loader is None or not self._loader.num_workers:
                raise
            self.lost = str(error).strip().split("\n")[0]
            self._loader = None  # ends the other workers
        # What a lost worker was to read, or why it can't be read.
        for rest in range(step, self.steps):
            yield self._dataset[epoch, rest]

    def _begin(self, epoch: int, start: int) -> Iterable[Batch]:
        """The epoch's batches from the workers that there are."""
        self._sampler.epoch, self._sampler.start = epoch, start
        if self._loader is None or not self._loader.num_workers:
            return self._loader or ()
        on_child = signal.getsignal(signal.SIGCHLD)
        alone = stop_signals_blocked if hasattr(signal, "sigwaitinfo") else nullcontext
        with alone():
            batches = iter(self._loader)
        # torch's handler would raise for a dead worker anywhere, in the middle of a step or of a
        # checkpoint. Without it the next wait for a batch does.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, on_child or signal.SIG_DFL)
        return batches


def _begin_worker(number: int) -> None:
    """Let the parent still end it by SIGTERM, which is blocked, as it does where it ends itself."""

    def listen() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
            pass  # for all of the processes: the parent decides
        os._exit(0)

    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=listen, daemon=True).start()
    Queue._on_queue_feeder_error = staticmethod(_give_up)  # type: ignore[attr-defined]


def _give_up(error: Exception, batch: object) -> None:
    """End a worker that can't hand over a batch, as with a full /dev/shm: it is waited for."""
    os._exit(1)


class _Epoch:
    def __init__(self, loader: TrainingLoader, epoch: int, start: int) -> None:
        self._loader, self._epoch, self._start = loader, epoch, start

    def __len__(self) -> int:
        return max(0, self._loader.steps - self._start)

    def __iter__(self) -> Iterator[Batch]:
        return self._loader.read(self._epoch, self._start)


class FixedBatches:
    """The same batches in the same order every time: groups of items, read when their turn comes.

    frames: samples cut from each item (shorter ones padded), None for whole items, which must then
    be of one length within a group. each: segments per item, evenly spread over it, one being its
    middle; number n of item i counts as i * each + n in the groups.
    """

    def __init__(
        self, split: Split, groups: list[list[int]], frames: int | None, each: int = 1
    ) -> None:
        self.split, self.groups, self.frames, self.each = split, groups, frames, each

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Batch]:
        for group in self.groups:
            items, number = np.divmod(np.array(group), self.each)
            if self.frames is None:
                yield whole(self.split, items)
            else:
                room = np.maximum(self.split.lengths[items] - self.frames, 0)
                starts = room * (2 * number + 1) // (2 * self.each)
                yield segments(self.split, items, starts, self.frames)


def evaluation_batches(
    split: Split, batch_size: int, without: Collection[str] = ()
) -> FixedBatches:
    """Whole items, each once, only equal lengths together, so that none is padded.

    Items come by length, then in the corpus' order: padding would change scores.
    without: names of items to leave out.
    """
    _check(len(split), 1, None, 1)
    groups: list[list[int]] = []
    for length in np.unique(split.lengths):
        items = np.flatnonzero(split.lengths == length).tolist()
        items = [item for item in items if split.items[item] not in without]
        groups += [items[n : n + batch_size] for n in range(0, len(items), batch_size)]
    return FixedBatches(split, groups, None)


def fixed_segments(
    split: Split, batch_size: int, segment: int | None, each: int = 1
) -> FixedBatches:
    """The same `segment` samples of every item (for validation); the last batch may be small.

    each: segments per item, see `FixedBatches`; one is its middle. segment=None gives what
    `evaluation_batches` does.
    """
    if segment is None:
        return evaluation_batches(split, batch_size)
    _check(len(split), 1, segment, 1)
    places = list(range(len(split) * each))
    groups = [places[n : n + batch_size] for n in range(0, len(places), batch_size)]
    return FixedBatches(split, groups, segment, each)


def _check(examples: int, batch_size: int, segment: int | None, world: int) -> None:
    if batch_size < 1 or batch_size % world:
        raise InputError(f"batch_size={batch_size}: not divisible among {world} processes")
    if batch_size > examples:
        raise InputError(f"batch_size={batch_size}: the split has {examples} examples only")
    if segment is not None and segment < 1:
        raise InputError(f"segment={segment}: at least one sample")
