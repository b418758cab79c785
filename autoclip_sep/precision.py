"""Numerically delicate functions stay in full precision, whatever precision the network has."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def widen(value: Any) -> Any:
    """A float16 or bfloat16 tensor as float32; anything else unchanged."""
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function of tensors with autocast off and its half-precision arguments widened.

    bfloat16 holds three significant digits: losses, Fourier transforms and metrics are silently
    wrong in it. float32 and float64 arguments keep their type.
    """

    @wraps(function)
    def in_full(*args: P.args, **kwargs: P.kwargs) -> R:
        values = (*args, *kwargs.values())
        device = next(v.device.type for v in values if isinstance(v, Tensor))
        with torch.autocast(device, enabled=False):
            return function(*map(widen, args), **{k: widen(v) for k, v in kwargs.items()})

    return in_full
