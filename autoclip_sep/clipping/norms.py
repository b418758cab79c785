"""L2 norms of gradients: one fused pass per device and dtype, accumulated in float32 at least."""

from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping.gradients import Gradients, is_sharded, same_kind

_HALF = (torch.float16, torch.bfloat16)


def tensor_norms(gradients: Gradients, order: float = 2) -> Tensor:
    """Each gradient's norm, in order: (number of gradients,), on the first one's device.

    order: 2, or inf for the largest magnitude.

    float64 where any gradient is float64, float32 otherwise (half precision would overflow at
    65504). Sharded gradients give the norm of the whole, the same on every rank, with one
    all-reduce for all of them.
    """
    norms: list[Tensor] = [torch.empty(0)] * len(gradients)
    for group in same_kind(gradients.whole):
        members = [gradients.whole[index] for index in group]
        wide = torch.float32 if members[0].dtype in _HALF else None
        found: Any = torch.stack(torch._foreach_norm(members, order, dtype=wide))
        if is_sharded(found):
            found = found.full_tensor()
        for index, norm in zip(group, found.to(gradients.device).unbind(), strict=True):
            norms[index] = norm
    double = any(norm.dtype == torch.float64 for norm in norms)
    return torch.stack([norm.double() if double else norm for norm in norms])


def global_norm(norms: Tensor) -> Tensor:
    """The L2 norm over all gradients, from each one's own: (number of gradients,) -> ()."""
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def anywhere(flags: list[Tensor]) -> Tensor:
    """Whether anything is true in any of these, on any rank where they are sharded: () bool."""
    found: Tensor = torch.zeros((), dtype=torch.bool, device=flags[0].device)
    for group in same_kind(flags):
        largest: Any = torch.stack([flags[index].float().amax() for index in group]).amax()
        if is_sharded(largest):
            largest = largest.full_tensor()
        found = found | (largest > 0).to(found.device)
    return found
