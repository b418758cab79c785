"""What stands in the state of a clipper, as tensors to compare."""

import torch


def numbers(value):
    """A list or a number, as float64."""
    return torch.as_tensor(value, dtype=torch.float64)
