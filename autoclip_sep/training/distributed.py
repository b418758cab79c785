"""Communication between the processes of a run; no-ops for a single process.

Gradients are averaged by one all-reduce after the backward pass rather than by a wrapper around the
model, so that the loop shows the order on which clipping depends: average, then norm, then history.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from autoclip_sep.errors import InputError
from autoclip_sep.training.peers import Peers
from autoclip_sep.training.preemption import Interrupted
from autoclip_sep.training.ranks import Place, place

TIMEOUT = timedelta(minutes=5)  # torch's default of 30 would hide a process that hangs that long
Value = TypeVar("Value")
_numbers = count()  # of the groups of this process, one for each job of a sweep
_peers: Peers | None = None


def rank() -> int:
    """This process' rank, from 0; raises InputError where that in the environment is invalid."""
    return distributed.get_rank() if distributed.is_initialized() else place().rank


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that ``torchrun`` or ``srun`` started, and leave them at the end.

    Where one of them is lost, or ends by an exception of its own, the others end in seconds.
    Raises InputError where the environment is invalid, or the others can't be reached.
    """
    global _peers
    where = place()
    if where.world == 1:
        yield
        return
    _peers = peers = _meet(where, device)
    try:
        yield
    except Interrupted:  # in all processes
        peers.leave()
        raise
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            peers.lost_contact(error)
        raise
    else:
        peers.leave()
    finally:
        peers.close()
        _peers = None
        distributed.destroy_process_group()


def _meet(where: Place, device: torch.device) -> Peers:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        store = distributed.PrefixStore(f"group{next(_numbers)}", _store(where))
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store, rank=where.rank, world_size=where.world, timeout=TIMEOUT,
        )  # fmt: skip
        return Peers(where, store, TIMEOUT)
    except (ValueError, RuntimeError, OSError) as error:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        reason = str(error).strip().split("\n")[0]
        met = f" at {where.address}:{where.port}" if where.address else ""
        raise InputError(f"the other processes can't be reached{met}: {reason}") from error


@cache
def _store(where: Place) -> distributed.Store:
    """The place to meet; kept, as the jobs of a sweep meet there one after the other."""
    url = "env://"  # of torchrun, whose agent keeps the store; or where something is missing
    if None not in (where.address, where.port) and "TORCHELASTIC_RUN_ID" not in os.environ:
        url = f"tcp://{where.address}:{where.port}"
    store, *_ = next(distributed.rendezvous(url, where.rank, where.world, timeout=TIMEOUT))
    return store


def wait_for_all() -> None:
    """Wait until all processes are here, however long that takes; a lost one ends the wait."""
    if _peers is not None:
        _peers.wait_for_all()


def from_first(value: Value) -> Value:
    """The first process' value, in every process."""
    if world() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def share(tensors: Iterable[Tensor]) -> None:
    """Give every process the first one's tensors."""
    if world() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor.detach(), src=0)


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
