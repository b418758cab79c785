"""Local smoothness of the loss along one optimizer step.

The local gradient Lipschitz constant of Zhang et al., "Why gradient clipping accelerates training"
(ICLR 2020), and Santurkar et al., "How does batch normalization help optimization?" (NeurIPS 2018),
as AutoClip's Figure 1 records it: with the step d = theta_t - theta_{t-1},

    max over gamma of || grad(theta_{t-1} + gamma d) - grad(theta_{t-1}) || / (gamma || d ||),

gamma in {1/(n+1), ..., n/(n+1)}, all gradients on the same batch with the same dropout masks.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from autoclip_sep.clipping.gradients import alike
from autoclip_sep.clipping.norms import norms_of, wide


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, a 0-dim float64 tensor on the CPU.

    Sharded tensors (DTensor) count as the whole, the same in every process.
    """
    norms = [torch.zeros(1, dtype=torch.float64, device="cpu")]
    for indices in alike(tensors):
        group = [tensors[index] for index in indices]
        found = norms_of(group)
        # In float32 squares are infinite above 1.8e19, and lose digits below 1e-15.
        if not 1e-15 < float(found.max()) < 1e18 and not group[0].is_complex():
            found = norms_of(group, wide(group[0].device))
        norms.append(found.cpu().double())
    return torch.cat(norms).norm()


def differences(minuends: Iterable[Tensor], subtrahends: Iterable[Tensor]) -> list[Tensor]:
    """Minuends less subtrahends, one by one: a fused kernel takes no mix of sharded tensors."""
    return [one - other for one, other in zip(minuends, subtrahends, strict=True)]


def set_weights(parameters: Sequence[Tensor], values: Iterable[Tensor]) -> None:
    """Writes the values into the parameters, in place."""
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

    closure: evaluates the gradients at the parameters' present values, of the parameters' shapes.
    start: the parameters before the step. gradient: their gradients there.
    points: n, the number of points on the way.

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
