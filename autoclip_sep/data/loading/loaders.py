"""Batches of an epoch and of an evaluation, the same for any number of workers."""

import os
import signal
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from multiprocessing.queues import Queue

import numpy as np
import torch
from torch.utils.data import DataLoader

from autoclip_sep.data.loading.on_device import DeviceSegments, check_no_augmentation
from autoclip_sep.data.loading.segments import (
    Augmentation,
    Recordings,
    Segments,
    segments,
    whole,
)
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.parallel import stop_signals_blocked
from autoclip_sep.types import Batch


class TrainingLoader:
    """Training batches epoch after epoch; its workers, if any, live as long as it does.

    Where a worker is killed, perhaps because memory ran out, `lost` gets the reason, the others
    end, and this process reads the rest. Signals that ask to stop are for this process, not for
    them.

    batch_size is that of all ranks together. augmentation: how examples are put together where
    they aren't the corpus' own mixtures. device: where a copy of the samples is kept, from which
    batches are cut without workers; None reads the store. The other arguments are those of
    `Segments`.
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
        augmentation: Augmentation | None = None,
        device: torch.device | None = None,
    ) -> None:
        share = {"batch_size": batch_size, "seed": seed, "rank": rank, "world": world}
        self._dataset: Segments
        if device is not None:
            check_no_augmentation(augmentation)
            if segment is None:
                raise InputError("trainer.store_on_device: whole items can't be cut there")
            self._dataset = DeviceSegments(split, device, segment=segment, **share)
            workers, pin_memory = 0, False
        elif augmentation is None:
            self._dataset = Segments(split, segment=segment, **share)
        elif segment is not None:
            self._dataset = augmentation.batches(split, segment=segment, **share)
        else:
            raise InputError("segment=None: whole items can't be mixed at random")
        examples = len(self._dataset)
        if batch_size < 1 or batch_size % world:
            raise InputError(f"batch_size={batch_size}: not divisible among {world} processes")
        if batch_size > examples:
            raise InputError(f"batch_size={batch_size}: the split has {examples} examples only")
        if segment is not None and segment < 1:
            raise InputError(f"segment={segment}: must be at least one sample")
        self.steps = self._dataset.steps
        self.lost: str | None = None
        self._keys: list[tuple[int, int]] = []  # epoch and step of the batches to come
        self._loader: DataLoader[Batch] | None = DataLoader(
            self._dataset,
            sampler=self._keys,
            batch_size=None,  # the dataset gives whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_begin_worker,
            pin_memory=pin_memory,
            # Its own generator: DataLoader would draw its workers' seed from the global one.
            generator=torch.Generator(),
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` (counted from 0) on.

        One epoch at a time: asking for the next one ends the one before.
        """
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
        self._keys[:] = [(epoch, step) for step in range(start, self.steps)]
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
    """Let the parent end this worker by SIGTERM, which is blocked here."""

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


def evaluation_batches(
    split: Recordings, batch_size: int, without: Collection[str] = (), most: int | None = None
) -> Iterator[Batch]:
    """Whole items, each once, only equal lengths together: padding would change scores.

    Items come by length, then in the corpus' order. without: names of items to leave out.
    most: samples of a batch's mixtures, so that memory stays bounded; longer items come alone.
    """
    for length in np.unique(split.lengths):
        items = np.flatnonzero(split.lengths == length)
        items = items[[split.items[item] not in without for item in items]]
        size = batch_size if most is None else max(1, min(batch_size, most // max(1, int(length))))
        for start in range(0, len(items), size):
            yield whole(split, items[start : start + size])


def fixed_segments(
    split: Split, batch_size: int, segment: int | None, each: int = 1
) -> Iterator[Batch]:
    """The same `segment` samples of every item (for validation); the last batch may be small.

    each: segments of an item, evenly spread over it, one being its middle; shorter items are
    zero-padded. segment=None gives what `evaluation_batches` does.
    """
    if segment is None:
        yield from evaluation_batches(split, batch_size)
        return
    places = np.arange(len(split) * each)
    for start in range(0, len(places), batch_size):
        items, number = np.divmod(places[start : start + batch_size], each)
        room = np.maximum(split.lengths[items] - segment, 0)
        yield segments(split, items, room * (2 * number + 1) // (2 * each), segment)
