"""The scale of estimates whose network was trained on a scale-invariant loss."""

import torch
from torch import Tensor
from torch.nn import functional

from autoclip_sep.precision import full_precision

RIDGE = 1e-4  # of each estimate's energy: keeps two similar ones from cancelling out


@full_precision
def to_mixture(waveforms: Tensor, mixture: Tensor) -> Tensor:
    """The estimates (B, S, C, T), each times the gain with which their sum is nearest the mixture.

    mixture: (B, C, T). Least squares, min over g of ||x - sum_i g_i s_i||^2; gains may be negative,
    since the loss ignores the sign. SI-SDR doesn't change, and silence stays silent.
    """
    signals = functional.normalize(waveforms.flatten(2), dim=-1)
    gram = signals @ signals.transpose(1, 2)
    ridge = RIDGE * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = signals @ mixture.flatten(1).unsqueeze(-1)
    gain = torch.linalg.solve(gram + ridge, product)
    return (gain * signals).unflatten(-1, waveforms.shape[2:])
