"""Local smoothness of the loss along one optimizer step.

The local gradient Lipschitz constant of Zhang et al., "Why gradient clipping accelerates training"
(ICLR 2020), and Santurkar et al., "How does batch normalization help optimization?" (NeurIPS 2018),
as AutoClip's Figure 1 records it: with the step d = theta_t - theta_{t-1},

    max over gamma of || grad(theta_{t-1} + gamma d) - grad(theta_{t-1}) || / (gamma || d ||),

gamma in {1/(n+1), ..., n/(n+1)}, all gradients on the same batch with the same dropout masks.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autoclip_sep.clipping.norms import wide

Closure = Callable[[], Tensor]


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, 0-dim, as wide as the device has it."""
    norms = torch._foreach_norm(list(tensors))
    device = norms[0].device
    return torch.stack([norm.to(device, wide(device)) for norm in norms]).norm()


def raw_gradients(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Gradients that leave ``.grad`` alone; zeros for parameters that the loss doesn't reach."""
    return list(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))


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
    step = torch._foreach_sub(end, list(start))
    length = total_norm(step)
    if not bool(length > 0):
        return float("nan")
    steepest = torch.zeros_like(length)
    try:
        for point in range(1, points + 1):
            gamma = point / (points + 1)
            with torch.no_grad():
                for parameter, origin, direction in zip(parameters, start, step, strict=True):
                    parameter.copy_(origin + gamma * direction)
            change = torch._foreach_sub(list(closure()), list(gradient))
            steepest = torch.maximum(steepest, total_norm(change) / (gamma * length))
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, end, strict=True):
                parameter.copy_(value)
    return float(steepest)
