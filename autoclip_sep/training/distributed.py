"""One process or many: what the processes of ``torchrun`` tell each other. No-ops for one.

Gradients are averaged by one all-reduce after the backward pass rather than by a wrapper around the
model, so that the loop shows the order on which clipping depends: average, then norm, then history.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

TIMEOUT = timedelta(minutes=5)  # torch's own 30 minutes would hide a dead rank for half an hour


def rank() -> int:
    """This process' number, from 0."""
    if distributed.is_initialized():
        return distributed.get_rank()
    return int(os.environ.get("RANK", "0"))  # of torchrun, before the processes have met


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes where ``torchrun`` started us, and leave them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
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
