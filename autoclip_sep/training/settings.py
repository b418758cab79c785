"""The trainer's settings, checked before any data is touched."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_type_hints

import torch

from autoclip_sep.errors import InputError
from autoclip_sep.runs.annotations import UNBOUNDED, check
from autoclip_sep.training.ranks import place

MOST = 1024  # threads or processes: no machine runs more, and thousands take minutes to start
Positive = Annotated[int, range(1, UNBOUNDED)]
Count = Annotated[int, range(UNBOUNDED)]
Processes = Annotated[int, range(MOST + 1)]


@dataclass(frozen=True)
class Settings:
    """The trainer's settings, as in configs/trainer/*.yaml.

    epochs: passes over the training set.
    batch_size: mixtures per step over all processes and micro-batches.
    accumulate: micro-batches of a step: so many backward passes, one after the other.
    segment: samples of each training example; shorter mixtures are zero-padded.
    precision: fp32, bf16 or fp16 (autocast around the network; fp16 with a GradScaler), or auto
        (bf16 where the device has it).
    record_every: steps from one row of dynamics.csv to the next.
    probe_points: points of the smoothness probe, 0 for none.
    checkpoint_every: steps between checkpoints inside an epoch; each epoch ends with one, too.
    validate_every: steps between validations inside an epoch, 0 for none; each epoch ends with one.
    patience: validations in a row without a new lowest loss that end the run, 0 for no such end.
    ema_decay: of the exponential moving average of the weights, 0 for none.
    overfit_batches: the first so many batches are the whole epoch, every epoch, and what is
        validated; 0 for all batches.
    keep_every: steps between checkpoints that are kept for good, to branch from; 0 keeps none.
    workers: processes that read data; 0 reads in the training process.
    store_on_device: keep the training set's samples on the device; there are no workers then.
    threads: torch's threads, 0 for torch's default.
    device: auto, cpu, cuda or cuda:<n>.
    progress: whether to draw a progress bar in a terminal.
    gradient_checkpointing: whether to compute the layers' activations again in the backward pass
        instead of keeping them.
    compile: whether to compile the network with torch.compile.
    profile: whether to write a trace of a few steps.

    Raises InputError for values of other types or out of range, and where they don't fit together.
    """

    epochs: Positive = 36
    batch_size: Positive = 16
    accumulate: Positive = 1
    segment: Positive = 12672
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    validate_every: Count = 0
    patience: Count = 0
    ema_decay: float = 0.0
    overfit_batches: Count = 0
    record_every: Positive = 20
    probe_points: Count = 1
    checkpoint_every: Positive = 1000
    keep_every: Count = 0
    workers: Processes = 0
    store_on_device: bool = False
    threads: Processes = 0
    device: str = "auto"
    progress: bool = True
    gradient_checkpointing: bool = False
    compile: bool = False
    profile: bool = False

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            check(getattr(self, name), hint, name)
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"trainer.ema_decay={self.ema_decay}: must be at least 0 and below 1")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"trainer.accumulate={self.accumulate}: trainer.batch_size={self.batch_size} is "
                "not divisible by it"
            )

    def save_after(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        return step % self.checkpoint_every == 0 or self.keeps(step)

    def keeps(self, step: int) -> bool:
        """Whether the checkpoint after this step is kept for good."""
        return self.keep_every > 0 and step % self.keep_every == 0


def find_device(name: str) -> torch.device:
    """The device of a setting; ``auto`` is this process' GPU where there are any.

    Raises ValueError for a device that isn't here.
    """
    if name in ("auto", "cuda"):
        own = f"cuda:{place().local}"
        name = own if name == "cuda" or torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu or cuda, not {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, not {name!r}")
    found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ValueError(
            f"device is {name!r}, but torch finds {found} GPUs: device=cpu always works"
        )
    return device
