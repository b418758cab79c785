"""One epoch's training batches without a loader that is kept."""

from autoclip_sep.data.loading.loaders import Batches, TrainingLoader
from autoclip_sep.data.store.reading import Split


def training_batches(
    split: Split,
    *,
    batch_size: int,
    segment: int | None,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Batches:
    """The training batches of one epoch, from step `start` on; `TrainingLoader` serves several.

    segment: samples per example (shorter ones are zero-padded), None for whole items. The last,
    partial batch is dropped. Rank r of `world` gets the r-th part of every batch.
    Raises InputError if batch_size isn't divisible by world or exceeds the split.
    """
    loader = TrainingLoader(
        split,
        batch_size=batch_size,
        segment=segment,
        seed=seed,
        rank=rank,
        world=world,
        workers=workers,
    )
    return loader.epoch(epoch, start)
