"""BSS Eval version 4, the scores of music separation, as museval computes them.

Source: Stöter, Liutkus and Ito, "The 2018 signal separation evaluation campaign" (2018).
Difference: scores are confined to +-100 dB like SI-SDR, and silence is undefined where museval
raises.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.optional import import_museval


class BSSEval(NamedTuple):
    """Scores (S, windows) in dB, float64; NaN where undefined. The field takes their median."""

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor


def bss_eval(
    estimate: Tensor, reference: Tensor, sample_rate: int, seconds: float = 1.0
) -> BSSEval:
    """SDR, ISR, SIR and SAR in windows side by side, estimate i against reference i.

    estimate, reference: (S, C, T). seconds: the length of a window.

    A window in which a source is silent is undefined. Where a source or an estimate is silent from
    beginning to end, museval can score none of them: everything is undefined, in one window.
    Raises InputError for shapes that differ.
    """
    if estimate.shape != reference.shape:
        raise InputError(
            f"estimate {tuple(estimate.shape)} and reference {tuple(reference.shape)} differ in "
            "shape; both must be (sources, channels, samples)"
        )
    if _any_silent(estimate) or _any_silent(reference):
        undefined = torch.full((len(reference), 1), torch.nan, dtype=torch.float64)
        return BSSEval(undefined, undefined, undefined, undefined)
    window = round(seconds * sample_rate)
    scores = import_museval().evaluate(
        reference.transpose(1, 2).double().cpu().numpy(),
        estimate.transpose(1, 2).double().cpu().numpy(),
        win=window,
        hop=window,
    )
    return BSSEval(*(torch.from_numpy(score).clamp(-LIMIT, LIMIT) for score in scores))


def _any_silent(signals: Tensor) -> bool:
    """Whether museval would refuse one of the sources: it looks at the sum of the channels."""
    return not bool(signals.sum(dim=1).any(dim=-1).all())
