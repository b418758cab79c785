"""Rows of numbers in the state of a clipper: lists.

torch.distributed.checkpoint reads a tensor into the one that is there, which must have the size
that was saved, and pickles everything else. How long a history is depends on how far training has
come, so it is no tensor in a state.
"""

from array import array
from typing import TypeGuard

import torch
from torch import Tensor


def is_row(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor (n,) that takes the room of n numbers in a file.

    One number expanded to any length doesn't, nor does a sparse tensor.
    """
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.ndim == 1 and value.is_contiguous()


def unpack(name: str, row: object) -> "array[float]":
    """A list of numbers as float64; also the (n,) float64 tensors of states of version 1.

    Raises ValueError for anything else.
    """
    if isinstance(row, Tensor):
        row = row.tolist() if is_row(row) and row.dtype == torch.float64 else None
    if isinstance(row, list) and all(type(number) in (float, int) for number in row):
        try:
            return array("d", row)
        except OverflowError:  # a whole number beyond float64
            pass
    raise ValueError(f"{name} must be one row of float64 numbers")


def to_tensor(numbers: "array[float]") -> Tensor:
    """(n,) float64 on the host, of the same storage."""
    if not numbers:
        return torch.empty(0, dtype=torch.float64, device="cpu")
    return torch.frombuffer(numbers, dtype=torch.float64)
