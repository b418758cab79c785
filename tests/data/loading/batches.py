"""One epoch's training batches without a loader that is kept."""

from collections.abc import Iterator

from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.store.reading import Split
from autoclip_sep.types import Batch


def training_batches(
    split: Split, *, epoch: int, start: int = 0, **settings: int | None
) -> Iterator[Batch]:
    """The batches from step `start` on; the settings are those of `TrainingLoader`."""
    return TrainingLoader(split, **settings).epoch(epoch, start)  # type: ignore[arg-type]
