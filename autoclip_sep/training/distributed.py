"""One process or many: what the processes of ``torchrun`` tell each other. No-ops for one.

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

TIMEOUT = timedelta(minutes=5)  # torch's own 30 minutes would hide a dead rank for half an hour


def rank() -> int:
    """This process' number, from 0. Raises InputError where the environment's isn't one."""
    if distributed.is_initialized():
        return distributed.get_rank()
    number, size = _told("RANK", "0"), _told("WORLD_SIZE", "1")  # before the processes have met
    if not number < size:
        raise InputError(
            f"RANK={number} of WORLD_SIZE={size} in the environment: torchrun sets both; unset them"
            " for one process"
        )
    return number


def _told(name: str, default: str) -> int:
    """A number that torchrun puts into the environment."""
    value = os.environ.get(name, default)
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise InputError(
            f"{name}={value[:40]!r} in the environment: torchrun sets a whole number; unset it for"
            " one process"
        )
    return int(value)


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes where ``torchrun`` started us, and leave them at the end.

    Raises InputError where the environment says something else than torchrun does, or they can't
    be met.
    """
    rank()  # refuses nonsense
    if _told("WORLD_SIZE", "1") == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"the other processes can't be met: {reason}") from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one message per dtype."""
    if world() == 1:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):  # in every process' order
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
    """Every process' value, in the order of their numbers, in every process."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    distributed.all_gather_object(values, value)
    return values
