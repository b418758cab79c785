"""Local smoothness of the loss along one optimizer step.

The local gradient Lipschitz constant of Zhang et al., "Why gradient clipping accelerates training"
(ICLR 2020), and Santurkar et al., "How does batch normalization help optimization?" (NeurIPS 2018),
as AutoClip's Figure 1 records it: with the step d = theta_t - theta_{t-1},

    max over gamma of || grad(theta_{t-1} + gamma d) - grad(theta_{t-1}) || / (gamma || d ||),

gamma in {1/(n+1), ..., n/(n+1)}, all gradients on the same batch with the same dropout masks.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping.gradients import is_sharded
from autoclip_sep.clipping.norms import wide

HALF = (torch.float16, torch.bfloat16)


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, a 0-dim float64 tensor on the CPU.

    Sharded tensors (DTensor) count as the whole, the same in every process.
    """
    kinds: dict[tuple[Any, ...], list[Tensor]] = {}
    tensor: Any
    for tensor in tensors:
        layout = (tensor.device_mesh, tensor.placements) if is_sharded(tensor) else None
        kinds.setdefault((tensor.device, tensor.dtype, layout), []).append(tensor)
    norms = [torch.zeros(1, dtype=torch.float64, device="cpu")]
    for (_, dtype, _), alike in kinds.items():
        found = _norms(alike, torch.float32 if dtype in HALF else None)  # 65505 would overflow
        # In float32 squares are infinite above 1.8e19, and lose digits below 1e-15.
        largest = float(found.max())
        if not 1e-15 < largest < 1e18 and not dtype.is_complex:
            found = _norms(alike, wide(alike[0].device))
        norms.append(found.cpu().double())
    return torch.cat(norms).norm()


def _norms(tensors: list[Tensor], dtype: torch.dtype | None) -> Tensor:
    found: Any = torch.stack(torch._foreach_norm(tensors, 2, dtype=dtype))
    norms: Tensor = found.full_tensor() if is_sharded(found) else found
    return norms


def differences(minuends: Iterable[Tensor], subtrahends: Iterable[Tensor]) -> list[Tensor]:
    """One by one, because a fused kernel takes no mixture of sharded and other tensors."""
    return [one - other for one, other in zip(minuends, subtrahends, strict=True)]


def set_weights(parameters: Sequence[Tensor], values: Iterable[Tensor]) -> None:
    """Write the values into the parameters, in place."""
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


def smoothness(
    closure: Callable[[], Sequence[Tensor]],
    parameters: Sequence[Tensor],
    start: Sequence[Tensor],
    gradient: Sequence[Tensor],
    points: int = 1,
) -> float:
    """Largest change of gradient per distance between `start` and where the parameters are now.

    closure: evaluates the gradients at the parameters' present values.
    start: the parameters before the step; gradient: their gradients there.
    points: n, how many points of the way are looked at.

    The parameters end as they came, bit for bit; buffers and random state are the caller's.
    Returns NaN where the step has no length.
    """
    end = [parameter.detach().clone() for parameter in parameters]
    step = differences(end, start)
    length = total_norm(step)
    if not bool(length > 0):
        return float("nan")
    steepest = torch.zeros_like(length)
    try:
        for point in range(1, points + 1):
            gamma = point / (points + 1)
            set_weights(parameters, (o + gamma * d for o, d in zip(start, step, strict=True)))
            change = differences(closure(), gradient)
            steepest = torch.maximum(steepest, total_norm(change) / (gamma * length))
    finally:
        set_weights(parameters, end)
    return float(steepest)
