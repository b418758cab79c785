"""BSS Eval version 4, the metrics of music separation.

Source: Vincent, Gribonval and Févotte, "Performance measurement in blind audio source separation"
(2006); Stöter, Liutkus and Ito, "The 2018 signal separation evaluation campaign" (2018).
Scores equal those of the package museval, as a test checks. museval takes minutes and gigabytes for
a song: it factorises the same equations for every source and transforms whole signals at once.
Here one factorisation serves all sources, and signals are processed blockwise. In both, the filters
and all scores but SDR are ill-conditioned where no source has energy in a part of the band.
Difference: scores are clamped to +-100 dB like SI-SDR, and undefined for silence, where museval
raises.

An estimate is decomposed into its source, what filtering the source accounts for beyond that, what
filtering the other sources accounts for, and the rest:
estimate = source + spatial error + interference + artifacts.
The filters are least-squares filters of the whole signal; energy ratios are taken in windows.
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
BLOCK = 2**15  # samples per transform for the correlations
TOGETHER = 8  # blocks or windows at a time
RIDGES = (0.0, 1e-12, 1e-9)  # relative to the mean energy, for identical sources or channels


class BSSEval(NamedTuple):
    """Scores (S, windows) in dB, float64; NaN where undefined. Their median is reported."""

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor


@full_precision
@torch.no_grad()
def bss_eval(
    estimate: Tensor, reference: Tensor, sample_rate: int, seconds: float = 1.0
) -> BSSEval:
    """SDR, ISR, SIR and SAR in adjacent windows, estimate i against reference i.

    estimate, reference: (S, C, T). seconds: the length of a window. Samples after the last whole
    window count for the filters only; a signal shorter than a window is one window.

    A window in which a source or an estimate is silent is undefined for all of them. Where one is
    silent throughout, the result is one undefined window.
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
    """Windows in which nothing is silent, bool (windows,), by the sum of the channels."""
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

    Returns (S, C, C, TAPS) and (S, C, S * C, TAPS): estimate, its channel, input channel, taps.
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
    """gram^-1 right, by Cholesky, with a ridge where identical sources make it singular."""
    for ridge in RIDGES:
        raised = gram.clone()
        raised.diagonal().add_(ridge * gram.diagonal().mean())
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not failed:
            break
    return torch.cholesky_solve(right, factor)


def _scores(estimate: Tensor, reference: Tensor, window: int, own: Tensor, joint: Tensor) -> Tensor:
    """The four scores (4, S, windows) of whole windows (S, C, T).

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
    source, padded = pad(references, (0, REACH)), pad(estimates, (0, REACH))
    pairs = (
        (source, padded - source),
        (source, own_part - source),
        (own_part, joint_part - own_part),
        (joint_part, padded - joint_part),
    )
    ratios = torch.stack([_energy(signal) / _energy(error) for signal, error in pairs])
    scores = (10 * ratios.log10()).clamp(-LIMIT, LIMIT)
    return scores.where(_sounding(estimate, reference, window), torch.nan)


def _matrices(spectra: Tensor) -> Tensor:
    """(..., P, Q, F) to (..., F, P, Q), contiguous for fast batched products."""
    return spectra.movedim(-1, -3).contiguous()


def _energy(signal: Tensor) -> Tensor:
    """(S, C, windows, T) to (S, windows)."""
    return signal.square().sum(dim=(1, 3))


def _piece(signals: Tensor, start: int, stop: int) -> Tensor:
    """signals (P, T) from start to stop in float64, zero-padded beyond their ends."""
    length = signals.shape[-1]
    inside = signals[:, max(start, 0) : min(stop, length)].double()
    return pad(inside, (max(-start, 0), max(stop - length, 0)))
