"""torch's optimizers by the field's names, their numbers checked before any data is touched."""

import math
from collections.abc import Iterable, Sequence

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

Parameters = Iterable[nn.Parameter]


def _check(**numbers: float) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"{name} must be a number, not {number!r}")
        if not math.isfinite(number) or number < 0:
            raise ValueError(f"{name} must be finite and not negative, not {number}")


def _pair(betas: Sequence[float]) -> tuple[float, float]:
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, not {betas!r}")
    return betas[0], betas[1]


def adam(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam (Kingma, Ba; ICLR 2015), which the paper trains with; in one fused kernel."""
    _check(lr=lr, eps=eps, weight_decay=weight_decay)
    return Adam(parameters, lr, _pair(betas), eps, weight_decay, fused=True)


def adamw(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov, Hutter; ICLR 2019)."""
    _check(lr=lr, eps=eps, weight_decay=weight_decay)
    return AdamW(parameters, lr, _pair(betas), eps, weight_decay, fused=True)


def sgd(
    parameters: Parameters, lr: float = 1e-2, momentum: float = 0.0, weight_decay: float = 0.0
) -> Optimizer:
    """Stochastic gradient descent, the setting of the paper's Eq. (2)."""
    _check(lr=lr, momentum=momentum, weight_decay=weight_decay)
    return SGD(parameters, lr, momentum, weight_decay=weight_decay, fused=True)


def rmsprop(
    parameters: Parameters, lr: float = 1e-3, alpha: float = 0.99, momentum: float = 0.0
) -> Optimizer:
    """RMSProp (Tieleman, Hinton; 2012)."""
    _check(lr=lr, alpha=alpha, momentum=momentum)
    return RMSprop(parameters, lr, alpha, momentum=momentum)
