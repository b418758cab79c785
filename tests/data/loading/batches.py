"""One epoch's training batches without a loader that is kept."""

from autoclip_sep.data.loading.loaders import TrainingLoader


def training_batches(split, *, epoch, start=0, **settings):
    """The batches from step `start` on; the settings are those of `TrainingLoader`."""
    return TrainingLoader(split, **settings).epoch(epoch, start)
