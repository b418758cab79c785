"""The batches that a run trains on, and those that it is validated on."""

from collections.abc import Iterator

import torch

from autoclip_sep.data.loading.loaders import TrainingLoader, fixed_segments
from autoclip_sep.errors import InputError
from autoclip_sep.training import distributed
from autoclip_sep.training.micro_batches import split
from autoclip_sep.training.parts import Parts
from autoclip_sep.training.settings import Settings
from autoclip_sep.types import Batch


class FirstBatches(TrainingLoader):
    """The first `count` batches of the first epoch, in every epoch.

    Raises InputError where there are fewer.
    """

    def __init__(self, *given: object, count: int, **how: object) -> None:
        super().__init__(*given, **how)  # type: ignore[arg-type]
        if count > self.steps:
            raise InputError(f"trainer.overfit_batches={count}: an epoch has {self.steps} batches")
        self.steps = count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Those batches from number `start` (counted from 0) on."""
        return super().epoch(1, start)


def training(parts: Parts, settings: Settings, seed: int, device: torch.device) -> TrainingLoader:
    """This process' share of the training batches.

    Raises InputError for a batch size that can't be divided, and as the loaders do.
    """
    world, whole = distributed.world(), settings.batch_size
    if whole % (world * settings.accumulate):
        raise InputError(
            f"batch_size={whole}: not divisible into accumulate={settings.accumulate} equal parts "
            f"in each of {world} processes"
        )
    return _loader(
        parts, settings, seed, rank=distributed.rank(), world=world, workers=settings.workers,
        pin_memory=device.type == "cuda", device=device if settings.store_on_device else None,
    )  # fmt: skip


def validation(parts: Parts, settings: Settings, seed: int) -> Iterator[Batch]:
    """The batches of a validation: fixed segments of the validation set, or what is overfitted.

    They are those of all processes, and as large as a micro-batch.
    """
    if settings.overfit_batches:
        for batch in _loader(parts, settings, seed).epoch(1):
            yield from split(batch, settings.accumulate)
        return
    size = settings.batch_size // settings.accumulate
    yield from fixed_segments(parts.valid, size, settings.segment, parts.valid_segments)


def _loader(parts: Parts, settings: Settings, seed: int, **how: object) -> TrainingLoader:
    how |= {
        "batch_size": settings.batch_size, "segment": settings.segment, "seed": seed,
        "augmentation": parts.augmentation,
    }  # fmt: skip
    count = settings.overfit_batches
    if count:
        return FirstBatches(parts.train, count=count, **how)
    return TrainingLoader(parts.train, **how)  # type: ignore[arg-type]
