"""Rows of numbers in the state of a clipper: float64, as bytes.

torch.distributed.checkpoint reads a tensor into the one that is there, which must have the size
that was saved, and pickles everything else. How long a history is depends on how far training has
come, so it is no tensor in a state; nor a list, which would take seconds for a million numbers.
"""

from array import array
from collections.abc import Iterable
from typing import TypeAlias

import torch
from torch import Tensor

Row: TypeAlias = bytes | list[float]


def pack(numbers: Iterable[float]) -> Row:
    """Numbers as float64, eight bytes each; none as [], for weights_only=True refuses b""."""
    return array("d", numbers).tobytes() or []


def unpack(name: str, row: object) -> "array[float]":
    """What `pack` was given; also from the (n,) float64 tensors of states of version 1.

    Raises ValueError for anything else.
    """
    if row == [] or (isinstance(row, bytes) and len(row) % 8 == 0):
        return array("d", row)
    if (
        isinstance(row, Tensor)
        and (row.ndim, row.dtype) == (1, torch.float64)
        and row.is_contiguous()  # one number expanded to any length takes no room in a file
    ):
        return array("d", row.tolist())
    raise ValueError(f"{name} must be one row of float64 numbers")


def to_tensor(numbers: "array[float]") -> Tensor:
    """(n,) float64 on the host, of the same storage."""
    if not numbers:
        return torch.empty(0, dtype=torch.float64, device="cpu")
    return torch.frombuffer(numbers, dtype=torch.float64)
