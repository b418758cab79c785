"""Communication between the processes of ``torchrun``; no-ops for a single process.

Gradients are averaged by one all-reduce after the backward pass rather than by a wrapper around the
model, so that the loop shows the order on which clipping depends: average, then norm, then history.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from autoclip_sep.errors import InputError

TIMEOUT = timedelta(minutes=5)  # torch's default of 30 would hide a dead rank for that long


def rank() -> int:
    """This process' rank, from 0; raises InputError where that in the environment is invalid."""
    if distributed.is_initialized():
        return distributed.get_rank()
    number, size = environment_number("RANK", "0"), environment_number("WORLD_SIZE", "1")
    if not number < size:
        raise InputError(
            f"RANK={number} of WORLD_SIZE={size} in the environment: torchrun sets both; unset them"
            " for one process"
        )
    return number


def environment_number(name: str, default: str) -> int:
    """A number that torchrun sets in the environment; raises InputError for anything else."""
    value = os.environ.get(name, default)
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise InputError(
            f"{name}={value[:40]!r} in the environment: torchrun sets an integer; unset it for"
            " one process"
        )
    return int(value)


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the process group where ``torchrun`` started this process, and leave it at the end.

    Raises InputError where the environment isn't torchrun's, or the others can't be reached.
    """
    rank()  # checks the environment
    if environment_number("WORLD_SIZE", "1") == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"the other processes can't be reached: {reason}") from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one all-reduce per dtype."""
    if world() == 1:
        return
    dtypes = dict.fromkeys(tensor.dtype for tensor in tensors)  # ordered alike in all processes
    for dtype in dtypes:
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        distributed.all_reduce(flat)
        flat /= world()
        parts = flat.split([tensor.numel() for tensor in alike])
        for tensor, part in zip(alike, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def average_gradients(model: nn.Module) -> None:
    """Make every process' gradients those of the whole global batch."""
    average([p.grad for p in model.parameters() if p.grad is not None])


def share_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers (BatchNorm's running statistics)."""
    if world() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, src=0)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all get the same answer."""
    if world() == 1:
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    flags = torch.tensor(int(flag), device=device)
    distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
    return bool(flags)


def gather(value: Any) -> list[Any]:
    """Every process' value, by rank, in every process."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    distributed.all_gather_object(values, value)
    return values
