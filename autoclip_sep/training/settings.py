"""The trainer's settings, checked before any data is touched."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_type_hints

import torch

from autoclip_sep.runs.annotations import UNBOUNDED, check
from autoclip_sep.training.distributed import environment_number

MOST = 1024  # threads or processes: no machine runs more, and thousands take minutes to start
Positive = Annotated[int, range(1, UNBOUNDED)]
Processes = Annotated[int, range(MOST + 1)]


@dataclass(frozen=True)
class Settings:
    """The trainer's settings, as in configs/trainer/*.yaml.

    epochs: passes over the training set.
    batch_size: mixtures per step over all processes.
    segment: samples of each training example; shorter mixtures are zero-padded.
    precision: fp32, bf16 (autocast around the network) or auto (bf16 where the device has it).
    record_every: steps from one row of dynamics.csv to the next.
    probe_points: points of the smoothness probe, 0 for none.
    checkpoint_every: steps between checkpoints inside an epoch; each epoch ends with one, too.
    keep_every: steps between checkpoints that are kept for good, to branch from; 0 keeps none.
    workers: processes that read data; 0 reads in the training process.
    store_on_device: keep the training set's samples on the device; there are no workers then.
    threads: torch's threads, 0 for torch's default.
    device: auto, cpu, cuda or cuda:<n>.
    progress: whether to draw a progress bar in a terminal.

    Raises InputError for values of other types or out of range.
    """

    epochs: Positive = 36
    batch_size: Positive = 16
    segment: Positive = 12672
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    record_every: Positive = 20
    probe_points: Annotated[int, range(UNBOUNDED)] = 1
    checkpoint_every: Positive = 1000
    keep_every: Annotated[int, range(UNBOUNDED)] = 0
    workers: Processes = 0
    store_on_device: bool = False
    threads: Processes = 0
    device: str = "auto"
    progress: bool = True

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            check(getattr(self, name), hint, name)

    def save_after(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        return step % self.checkpoint_every == 0 or self.keeps(step)

    def keeps(self, step: int) -> bool:
        """Whether the checkpoint after this step is kept for good."""
        return self.keep_every > 0 and step % self.keep_every == 0


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """bfloat16 for ``bf16``, and for ``auto`` where the device has it; None for float32."""
    if precision == "bf16":
        return torch.bfloat16
    if precision == "auto":
        has_it = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if has_it else None
    return None


def find_device(name: str) -> torch.device:
    """The device of a setting; ``auto`` is this process' GPU where there are any.

    Raises ValueError for a device that isn't here.
    """
    if name in ("auto", "cuda"):
        own = f"cuda:{environment_number('LOCAL_RANK', '0')}"  # torchrun numbers its processes
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
