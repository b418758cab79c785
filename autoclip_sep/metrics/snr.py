"""Signal-to-noise ratio of a waveform, without any rescaling.

Difference: clamped to +-100 dB like SI-SDR.
"""

import torch
from torch import Tensor

from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.precision import full_precision


@full_precision
def snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """10 log10( ||s||^2 / ||s - s_hat||^2 ) in dB; (...).

    estimate, reference: (..., T). Summed in float64, returned in the estimate's type. NaN,
    "undefined", for a silent reference; a silent estimate has 0 dB.
    """
    energy = reference.double().square().sum(dim=-1)
    error = (reference.double() - estimate.double()).square().sum(dim=-1)
    score = (10 * torch.log10(energy / error)).clamp(-LIMIT, LIMIT)
    return score.where(energy > 0, torch.nan).to(estimate.dtype)
