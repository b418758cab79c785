"""Signal-to-distortion ratio of BSS Eval v3.

Source: Vincent, Gribonval and Févotte, "Performance measurement in blind audio source separation"
(2006); the SDR of `bss_eval_sources` in mir_eval: filters of 512 taps of the reference count as the
reference.
Computed by fast_bss_eval (Scheibler, "SDR - medium rare with fast computations", 2022) in float64,
one signal at a time: within 1e-12 dB of mir_eval in an eighth of its time. torchmetrics has the
same equations, takes a third longer, and solves them by torch.linalg.solve. Conjugate gradients
(`use_cg_iter`) are faster in both, but off by up to 0.004 dB, for low sounds most. With NumPy 2
fast_bss_eval's solver takes several signals for one, hence one at a time.
Difference: clamped to +-100 dB like SI-SDR.
"""

import math
from typing import Any

import numpy as np
from torch import Tensor

from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.optional import require

TAPS = 512
RIDGE = 1e-10  # of the reference's energy, where its delays are linearly dependent


def sdr(estimate: Tensor, reference: Tensor) -> float:
    """SDR in dB of one signal (T). NaN, "undefined", where estimate or reference is silent.

    Raises InputError where fast_bss_eval is missing.
    """
    package: Any = require("fast_bss_eval", "SDR")
    pair = [signal.double().cpu().numpy() for signal in (estimate, reference)]
    if not all(signal.any() for signal in pair):
        return math.nan
    for ridge in (None, RIDGE):
        try:
            with np.errstate(divide="ignore"):  # an estimate that is its reference
                found = -package.sdr_loss(*pair, TAPS, load_diag=ridge)
        except np.linalg.LinAlgError:
            continue
        if not math.isnan(found):
            return float(np.clip(found, -LIMIT, LIMIT))
    return math.nan
