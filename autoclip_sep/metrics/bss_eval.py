"""BSS Eval version 4, the metrics of music separation.

Source: Vincent, Gribonval and Févotte, "Performance measurement in blind audio source separation"
(2006); Stöter, Liutkus and Ito, "The 2018 signal separation evaluation campaign" (2018).
Scores equal those of the package museval, as a test checks. museval takes minutes and gigabytes for
a song: it factorises the same equations for every source, filters every window to subtract the
results, and transforms whole signals at once. Here the equations are solved by a recursion, the
energies of filtered windows are those of their spectra, and signals are processed blockwise. In
both, the filters and all scores but SDR are ill-conditioned where no source has energy in a part
of the band.
Difference: scores are clamped to +-100 dB like SI-SDR, and undefined for silence, where museval
raises.

An estimate is decomposed into its source, what filtering the source accounts for beyond that, what
filtering the other sources accounts for, and the rest:
estimate = source + spatial error + interference + artifacts.
The filters are least-squares filters of the whole signal; energy ratios are taken in windows.
"""

from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from autoclip_sep.errors import InputError
from autoclip_sep.metrics import _toeplitz as toeplitz
from autoclip_sep.metrics.si_sdr import LIMIT
from autoclip_sep.precision import full_precision

TAPS = 512  # coefficients of a filter, from one channel to one channel
REACH = TAPS - 1
# Larger tensors take longer than their sizes say: the system gives their memory page by page.
BLOCK, BLOCKS = 2**13, 8  # samples of a transform for the correlations, and transforms at a time
TOGETHER = 4  # windows at a time


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
    lags, cross = _correlations(reference.flatten(0, 1), estimate.flatten(0, 1))
    window = min(round(seconds * sample_rate), length)
    size = next_fast_len(window + REACH, real=True)
    filters = _filters(lags, cross, *reference.shape[:2])
    spectra = torch.fft.rfft(filters, size, dim=0).contiguous()
    scores = []
    for start in range(0, length // window * window, TOGETHER * window):
        stop = min(start + TOGETHER * window, length // window * window)
        part = slice(start, stop)
        scores.append(_scores(estimate[..., part], reference[..., part], window, spectra, size))
    return BSSEval(*torch.cat(scores, dim=-1).cpu())


def _sounding(estimate: Tensor, reference: Tensor, window: int) -> Tensor:
    """Windows in which nothing is silent, bool (windows,), by the sum of the channels."""
    pair = torch.stack([signal.sum(dim=1) for signal in (estimate, reference)])
    return pair.unflatten(-1, (-1, window)).any(dim=-1).flatten(0, 1).all(dim=0)


def _correlations(references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor]:
    """sum over t of reference_p[t - lag] signal_q[t] for lags 0 to 511: two of (TAPS, P, P).

    references, estimates: (P, T), all channels of all sources; signal_q is a reference in the
    first result, an estimate in the second.
    """
    step, length = BLOCK - REACH, references.shape[-1]
    total: Tensor | float = 0.0
    for start in range(0, length, BLOCKS * step):
        stop = start + min(BLOCKS, -(-(length - start) // step)) * step
        earlier = _piece(references, start - REACH, stop)
        signals = torch.cat([earlier[:, REACH:], _piece(estimates, start, stop)])
        own = torch.fft.rfft(signals.unflatten(-1, (-1, step)), BLOCK)
        earlier = torch.fft.rfft(earlier.unfold(-1, BLOCK, step))
        total = total + _matrices(earlier) @ _matrices(own.conj_physical().transpose(0, 1))
    assert isinstance(total, Tensor)
    both = torch.fft.irfft(total, BLOCK, dim=0)[:TAPS].flip(0)
    return both[..., : len(references)], both[..., len(references) :]


def _filters(lags: Tensor, cross: Tensor, sources: int, channels: int) -> Tensor:
    """Least-squares filters from the references to each estimate: (TAPS, 2 * S * C, S * C).

    The first S * C rows are the filters to the channels of the estimates from all references, the
    other ones those from the estimate's own source alone.
    """
    joint = toeplitz.solve(lags[None], cross[None])[0].mT
    shape = (TAPS, sources, channels, sources, channels)
    blocks = (part.reshape(shape).diagonal(dim1=1, dim2=3) for part in (lags, cross))
    own = toeplitz.solve(*(block.permute(3, 0, 1, 2).contiguous() for block in blocks))
    apart = torch.zeros(shape, dtype=lags.dtype, device=lags.device)
    apart.diagonal(dim1=1, dim2=3).copy_(own.permute(1, 3, 2, 0))
    return torch.cat([joint, apart.flatten(3).flatten(1, 2)], dim=1)


def _scores(estimate: Tensor, reference: Tensor, window: int, filters: Tensor, size: int) -> Tensor:
    """The four scores (4, S, windows) of whole windows (S, C, T).

    filters: the spectra (F, 2 * S * C, S * C) of filters for transforms of `size`, which hold a
    window and what a filter adds to it: by Parseval's theorem energies are those of spectra.
    """
    sources, channels = reference.shape[:2]
    estimates, references = (
        torch.fft.rfft(signal.double().flatten(0, 1).unflatten(-1, (-1, window)), size)
        .movedim(-1, 0)
        .contiguous()
        for signal in (estimate, reference)
    )  # (F, S * C, windows)
    joint_part, own_part = (filters @ references).tensor_split(2, dim=1)
    weight = torch.full((len(filters),), 2.0, dtype=torch.float64, device=filters.device)
    weight[0] = 1.0
    if size % 2 == 0:
        weight[-1] = 1.0

    def energy(spectra: Tensor) -> Tensor:
        squares = torch.view_as_real(spectra).square().flatten(1)
        return (weight @ squares).reshape(sources, channels, -1, 2).sum(dim=(1, 3))

    pairs = (
        (references, estimates - references),
        (references, own_part - references),
        (own_part, joint_part - own_part),
        (joint_part, estimates - joint_part),
    )
    ratios = torch.stack([energy(signal) / energy(error) for signal, error in pairs])
    scores = (10 * ratios.log10()).clamp(-LIMIT, LIMIT)
    return scores.where(_sounding(estimate, reference, window), torch.nan)


def _matrices(spectra: Tensor) -> Tensor:
    """(P, Q, F) to (F, P, Q), contiguous for fast batched products."""
    return spectra.movedim(-1, 0).contiguous()


def _piece(signals: Tensor, start: int, stop: int) -> Tensor:
    """signals (P, T) from start to stop in float64, zero-padded beyond their ends."""
    length = signals.shape[-1]
    inside = signals[:, max(start, 0) : min(stop, length)].double()
    return pad(inside, (max(-start, 0), max(stop - length, 0)))
