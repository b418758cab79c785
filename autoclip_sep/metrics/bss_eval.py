"""BSS Eval version 4, the scores of music separation.

Source: Vincent, Gribonval and Févotte, "Performance measurement in blind audio source separation"
(2006); Stöter, Liutkus and Ito, "The 2018 signal separation evaluation campaign" (2018).
Numbers are those of the package museval, which a test compares. It takes minutes and gigabytes for
a song: it factors the same equations anew for every source and transforms whole signals at once.
Here one factorisation serves all sources, and signals go block by block. Both are as uncertain as
the filters where no source has any sound in a part of the band; SDR is not.
Difference: scores are confined to +-100 dB like SI-SDR, and silence is undefined where museval
raises.

An estimate is taken apart into its source, what its source accounts for beyond that when filtered,
what the other sources account for, and the rest:
estimate = source + spatial error + interference + artifacts.
The filters are the best ones for the whole signal; ratios of energies are taken in windows.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from autoclip_sep.errors import InputError
from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.precision import full_precision

TAPS = 512  # coefficients of a filter, from one channel to one channel
REACH = TAPS - 1
BLOCK = 2**15  # samples of one transform while correlations are gathered
TOGETHER = 8  # blocks or windows at a time
RIDGES = (0.0, 1e-12, 1e-9)  # of the mean energy, where sources or channels are the same


class BSSEval(NamedTuple):
    """Scores (S, windows) in dB, float64; NaN where undefined. The field takes their median."""

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor


@full_precision
@torch.no_grad()
def bss_eval(
    estimate: Tensor, reference: Tensor, sample_rate: int, seconds: float = 1.0
) -> BSSEval:
    """SDR, ISR, SIR and SAR in windows side by side, estimate i against reference i.

    estimate, reference: (S, C, T). seconds: the length of a window. What is left behind the last
    whole window counts for the filters only; a signal shorter than a window is one.

    A window in which a source or an estimate is silent is undefined for all of them. Where one is
    silent from beginning to end, everything is undefined, in one window.
    Raises InputError for shapes that differ.
    """
    if estimate.shape != reference.shape:
        raise InputError(
            f"estimate {tuple(estimate.shape)} and reference {tuple(reference.shape)} differ in "
            "shape; both must be (sources, channels, samples)"
        )
    length = reference.shape[-1]
    if not _sounding(estimate, reference, length).all():
        undefined = reference.new_full((len(reference), 1), torch.nan, dtype=torch.float64)
        return BSSEval(undefined, undefined, undefined, undefined)
    correlations = _correlations(reference.flatten(0, 1), estimate.flatten(0, 1))
    window = min(round(seconds * sample_rate), length)
    size = 1 << (window + REACH - 1).bit_length()
    filters = _filters(correlations, *reference.shape[:2])
    own, joint = (_matrices(torch.fft.rfft(taps, size)) for taps in filters)
    scores = []
    for start in range(0, length // window * window, TOGETHER * window):
        stop = min(start + TOGETHER * window, length // window * window)
        part = slice(start, stop)
        scores.append(_scores(estimate[..., part], reference[..., part], window, own, joint))
    return BSSEval(*torch.cat(scores, dim=-1).cpu())


def _sounding(estimate: Tensor, reference: Tensor, window: int) -> Tensor:
    """Windows in which nothing is silent, bool (windows,): the sum of the channels is looked at."""
    pair = torch.stack([signal.sum(dim=1) for signal in (estimate, reference)])
    return pair.unflatten(-1, (-1, window)).any(dim=-1).flatten(0, 1).all(dim=0)


def _correlations(references: Tensor, estimates: Tensor) -> Tensor:
    """sum over t of reference_p[t + lag] signal_q[t], for lags -511 to 511: (P, 2 P, 1023).

    references, estimates: (P, T), all channels of all sources; signal_q is a reference, then an
    estimate.
    """
    step, length = BLOCK - 2 * REACH, references.shape[-1]
    total: Tensor | float = 0.0
    for start in range(0, length, TOGETHER * step):
        stop = start + min(TOGETHER, -(-(length - start) // step)) * step
        signals = torch.cat([_piece(references, start, stop), _piece(estimates, start, stop)])
        later = torch.fft.rfft(signals.unflatten(-1, (-1, step)), BLOCK)
        around = _piece(references, start - REACH, stop + REACH).unfold(-1, BLOCK, step)
        later = later.conj_physical().transpose(0, 1)
        total = total + _matrices(torch.fft.rfft(around)) @ _matrices(later)
    assert isinstance(total, Tensor)
    return torch.fft.irfft(total.movedim(0, -1), BLOCK)[..., : 2 * REACH + 1]


def _filters(correlations: Tensor, sources: int, channels: int) -> tuple[Tensor, Tensor]:
    """Least-squares filters from each source alone and from all of them to the estimates.

    Returns (S, C, C, TAPS) and (S, C, S * C, TAPS), each from the channels of the last but one axis
    to those of the one before.
    """
    signals = sources * channels
    taps = torch.arange(TAPS, device=correlations.device)
    # Rows are references delayed by m, columns references delayed by n: their lag is n - m.
    gram = correlations[:, :signals][..., taps - taps[:, None] + REACH]
    gram = gram.transpose(1, 2).reshape(signals * TAPS, signals * TAPS)
    cross = correlations[:, signals:, :TAPS].flip(-1)  # lags 0, -1, ... -511
    cross = cross.transpose(1, 2).reshape(signals * TAPS, signals)
    joint = _solve(gram, cross).T.reshape(sources, channels, signals, TAPS)
    own = []
    for source in range(sources):
        rows = slice(source * channels * TAPS, (source + 1) * channels * TAPS)
        columns = slice(source * channels, (source + 1) * channels)
        solved = _solve(gram[rows, rows], cross[rows, columns])
        own.append(solved.T.reshape(channels, channels, TAPS))
    return torch.stack(own), joint


def _solve(gram: Tensor, right: Tensor) -> Tensor:
    """gram^-1 right, by Cholesky; singular where sources are copies, so with a ridge if need be."""
    for ridge in RIDGES:
        raised = gram.clone()
        raised.diagonal().add_(ridge * gram.diagonal().mean())
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not failed:
            break
    return torch.cholesky_solve(right, factor)


def _scores(estimate: Tensor, reference: Tensor, window: int, own: Tensor, joint: Tensor) -> Tensor:
    """The four scores of some windows (4, S, windows) from whole windows (S, C, T).

    own, joint: the filters' spectra, (S, F, C, C) and (S, F, C, S * C).
    """
    size = 2 * (own.shape[1] - 1)
    estimates, references = (
        signal.double().unflatten(-1, (-1, window)) for signal in (estimate, reference)
    )
    spectra = _matrices(torch.fft.rfft(references, size))  # (S, F, C, windows)
    everything = spectra.transpose(0, 1).flatten(1, 2)  # (F, S * C, windows)
    own_part, joint_part = (
        torch.fft.irfft(part.movedim(1, -1), size)[..., : window + REACH]
        for part in (own @ spectra, joint @ everything)
    )
    source, heard = pad(references, (0, REACH)), pad(estimates, (0, REACH))
    pairs = (
        (source, heard - source),
        (source, own_part - source),
        (own_part, joint_part - own_part),
        (joint_part, heard - joint_part),
    )
    ratios = torch.stack([_energy(signal) / _energy(error) for signal, error in pairs])
    scores = (10 * ratios.log10()).clamp(-LIMIT, LIMIT)
    return scores.where(_sounding(estimate, reference, window), torch.nan)


def _matrices(spectra: Tensor) -> Tensor:
    """(..., P, Q, F) to (..., F, P, Q), laid out so that products needn't copy one by one."""
    return spectra.movedim(-1, -3).contiguous()


def _energy(signal: Tensor) -> Tensor:
    """(S, C, windows, T) to (S, windows)."""
    return signal.square().sum(dim=(1, 3))


def _piece(signals: Tensor, start: int, stop: int) -> Tensor:
    """signals (P, T) from start to stop in float64, zeros where there is nothing."""
    length = signals.shape[-1]
    inside = signals[:, max(start, 0) : min(stop, length)].double()
    return pad(inside, (max(-start, 0), max(stop - length, 0)))
