"""The numeric settings of a training run, checked before any data is touched."""

from dataclasses import dataclass

import torch

from autoclip_sep.training.distributed import environment_number

PRECISIONS = ("fp32", "bf16", "auto")
MOST = 1024  # threads or processes: no machine runs more, and thousands take minutes to start


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
    workers: processes that read data; 0 reads in the training process.
    threads: torch's threads, 0 for torch's default.
    device: auto, cpu, cuda or cuda:<n>.
    progress: whether to draw a progress bar in a terminal.
    """

    epochs: int = 36
    batch_size: int = 16
    segment: int = 12672
    precision: str = "fp32"
    record_every: int = 20
    probe_points: int = 1
    checkpoint_every: int = 1000
    workers: int = 0
    threads: int = 0
    device: str = "auto"
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "segment", "record_every", "checkpoint_every"):
            self._check_integer(name, at_least=1)
        self._check_integer("probe_points", at_least=0)
        for name in ("workers", "threads"):
            self._check_integer(name, at_least=0, at_most=MOST)
        if not isinstance(self.progress, bool):
            raise TypeError(f"progress must be true or false, not {self.progress!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, not {self.precision!r}")

    def _check_integer(self, name: str, at_least: int, at_most: int = 2**62) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if not at_least <= value <= at_most:
            bound = f"at least {at_least}" if value < at_least else f"at most {at_most}"
            raise ValueError(f"{name} must be {bound}, not {value}")


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
