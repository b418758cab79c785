"""What stands in the state of a clipper, as tensors to compare."""

import torch

from autoclip_sep.clipping.rows import unpack


def numbers(value):
    """A row that is packed, a list or a number, as float64."""
    row = unpack("row", value) if isinstance(value, bytes) else value
    return torch.as_tensor(row, dtype=torch.float64)
