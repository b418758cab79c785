"""What a run is made of."""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from autoclip_sep.clipping import Clipper
from autoclip_sep.data.loading.segments import Augmentation
from autoclip_sep.data.store.reading import Split
from autoclip_sep.stft import STFT
from autoclip_sep.training.loggers.base import Logger
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.validation import Objective


@dataclass
class Parts:
    """The objects of a run, built by cli.

    permute: whether estimates come in any order. augmentation: None trains on the corpus' own
    mixtures. valid_segments: segments of each mixture in a validation.
    """

    model: nn.Module
    objective: Objective
    clipper: Clipper
    optimizer: Optimizer
    scheduler: Schedule
    stft: STFT
    train: Split
    valid: Split
    logger: Logger
    permute: bool = True
    augmentation: Augmentation | None = None
    valid_segments: int = 1
