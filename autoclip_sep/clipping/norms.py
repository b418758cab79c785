"""L2 norms of gradients: one fused pass per device and dtype, accumulated in float32 at least.

In float32 squares are infinite above 1.8e19 and 0 below 1e-23. Where a norm comes out so that this
may have happened, it is taken again of rescaled gradients; that is rare, and the norms of all
others cost nothing more and keep their bits.
"""

import math
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping.gradients import Gradients, Parameters, is_sharded
from autoclip_sep.clipping.result import Clip

if torch.distributed.is_available():
    # Optimizers import it as they are made. Where a process group is there by then, its functions
    # keep that as a default argument, and gloo's threads abort about one process in ten at its end.
    import torch.distributed.nn

_HALF = (torch.float16, torch.bfloat16)
_LARGE, _ROW = 131072, 65536  # elements
_ROWS = 16  # their number is a multiple of it, so that cores get equal shares
LARGE = 1e18  # the square of a norm above may be infinite in float32
WITHOUT_FLOAT64 = ("mps",)
_RESIZE = {torch.float32: 2.0**80, torch.float64: 2.0**600}


def tensor_norms(gradients: Gradients) -> Tensor:
    """Each gradient's L2 norm, in order: (number of gradients,), on the first one's device.

    float64 where any gradient is float64, float32 otherwise (half precision would overflow at
    65504). Sharded gradients give the norm of the whole, the same on every rank, with one
    all-reduce for all of them.
    """
    if len(gradients.groups) == 1:
        return norms_of(gradients.whole)
    norms: dict[int, Tensor] = {}
    for group in gradients.groups:
        found = norms_of([gradients.whole[index] for index in group])
        norms.update(zip(group, found.to(gradients.device).unbind(), strict=True))
    return torch.stack([norms[index] for index in range(len(gradients))])


def global_norm(norms: Tensor) -> Tensor:
    """The L2 norm over all gradients, from each one's own: (number of gradients,) -> ()."""
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


@torch.no_grad()
def gradient_norm(parameters: Parameters) -> Tensor:
    """The global norm of the gradients that parameters have: (); 0 where there are none."""
    gradients = Gradients(parameters)
    return global_norm(tensor_norms(gradients)) if len(gradients) else torch.zeros(())


def read_norms(gradients: Gradients) -> tuple[Tensor, float, list[float]]:
    """The global norm on the device, that norm, and each gradient's own, in order.

    Finite and above 0 wherever the gradients are, whatever their size; but a gradient below 1e-23
    beside one above 1e-12 may come out as 0. One host read, or some more where norms are taken
    again: the first result is then () of the widest type, since float32 might not hold it.
    """
    norms = tensor_norms(gradients)
    norm = global_norm(norms)
    total, *each = torch.cat((norm.unsqueeze(0), norms)).tolist()
    narrow = any(part.dtype != torch.float64 for part in gradients.tensors)
    resize = _RESIZE[torch.float32 if narrow else torch.float64]
    # Far above what any number of squares lost to underflow could have added up to.
    small = torch.finfo(torch.float32 if narrow else torch.float64).tiny ** 0.5 * 1e7
    factors = {
        index: 1 / resize if own == math.inf else resize
        for index, own in enumerate(each)
        if own == math.inf or 0 < own < small or total == 0
    }
    if not factors:
        return norm, total, each
    for index, factor in factors.items():
        whole = gradients.whole[index]
        resized = whole.to(torch.promote_types(whole.dtype, torch.float32)) * factor
        each[index] = norms_of([resized]).item() / factor
    total = math.hypot(*each)
    device = gradients.device
    return torch.full((), total, dtype=wide(device), device=device), total, each


def wide(device: torch.device) -> torch.dtype:
    """The widest float a device has."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


def clipped_where(flags: list[Tensor], gradients: Gradients, before: float) -> Clip:
    """What was done to gradients that have changed where any flag is set, given the norm before.

    flags: as in `anywhere`.
    """
    clipped = anywhere(flags, gradients)
    after = read_norms(gradients)[0] if before >= LARGE else global_norm(tensor_norms(gradients))
    return Clip(scale=torch.where(clipped, after / before, 1.0), clipped=clipped)


def anywhere(flags: list[Tensor], gradients: Gradients) -> Tensor:
    """Whether any flag is true on any rank: () bool on the gradients' device.

    flags: () bool each, found in this rank's part of the gradients; as many as there are.
    """
    found = torch.zeros((), dtype=torch.bool, device=gradients.device)
    for flag in flags:
        found = found | flag.to(found.device)
    sharded: list[Any] = [whole for whole in gradients.whole if is_sharded(whole)]
    for mesh in dict.fromkeys(whole.device_mesh for whole in sharded):
        from torch.distributed.tensor import DTensor, Partial

        layout = [Partial("max")] * mesh.ndim
        found = DTensor.from_local(found.float(), mesh, layout).full_tensor() > 0
    return found


def norms_of(tensors: list[Tensor], dtype: torch.dtype | None = None) -> Tensor:
    """The norms of whole tensors of one device, dtype and layout: (number of tensors,).

    dtype: what they are accumulated in, of real tensors; by default their own, float32 at least.
    """
    if dtype is None and tensors[0].dtype in _HALF:
        dtype = torch.float32
    if tensors[0].device.type == "cpu" and not is_sharded(tensors[0]):
        tensors = [_shorter(t, dtype) if t.numel() >= _LARGE else t for t in tensors]
    norms: Any = torch.stack(torch._foreach_norm(tensors, 2, dtype=dtype))
    return norms.full_tensor() if is_sharded(norms) else norms


def _shorter(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A short vector of the same norm: the norms of rows of the tensor, and what is left over.

    On a CPU torch takes the norm of a vector on one core, and over 30 million elements loses three
    digits. Rows are shared out among the cores, each whole, so the number of cores changes nothing.
    """
    if not tensor.is_contiguous():
        return tensor
    count = _ROWS * math.ceil(tensor.numel() / (_ROWS * _ROW))
    over = tensor.numel() % count
    if not over:
        return torch.linalg.vector_norm(tensor.view(count, -1), dim=1, dtype=dtype)
    rows, rest = tensor.view(-1).tensor_split((-over,))
    return torch.cat((torch.linalg.vector_norm(rows.view(count, -1), dim=1, dtype=dtype), rest))
