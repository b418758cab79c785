"""Least-squares filters from correlations: block Toeplitz systems of linear equations.

Source: Whittle (1963); Wiggins and Robinson, "Recursive solution to the multichannel filtering
problem" (1965): Levinson's recursion for matrices. For L taps and P signals it takes L^2 P^3
operations, where a Cholesky factorisation takes (L P)^3 / 3 and that many entries in memory. It
breaks down for equations that are singular but for rounding, which a check of the solution finds;
those are factorised, with a ridge where need be.
"""

import torch
from torch import Tensor

ACCURATE = 1e-10  # ||equations @ solution - right|| / ||right|| of a recursion that went well
RIDGES = (0.0, 1e-12, 1e-9)  # relative to the mean energy, for identical sources or channels


def solve(lags: Tensor, right: Tensor) -> Tensor:
    """x with sum over n of G(m - n) x_n = right_m: (B, L, P, Q).

    lags: (B, L, P, P), G(l) for l = 0, 1, ...; G(-l) is its transpose. right: (B, L, P, Q).
    """
    solution = _recursion(lags, right)
    error = (_times(lags, solution) - right).flatten(1).norm(dim=1)
    good = error <= ACCURATE * right.flatten(1).norm(dim=1)  # false for NaN
    for b in torch.nonzero(~good).flatten().tolist():
        solution[b] = _factorised(lags[b], right[b])
    return solution


def _recursion(lags: Tensor, right: Tensor) -> Tensor:
    """The solutions for 1, 2, ..., L taps, each from the one before."""
    taps, signals = lags.shape[1:3]
    # [G(L-1), ..., G(1), G(0)]: its end, but for G(0), is the next row of the equations.
    row = lags.flip(1).transpose(1, 2).flatten(2)
    right = right.flatten(1, 2)
    # The forward predictor has one at its beginning, the backward predictor at its end; the
    # solution stands beside the former, as the next row is multiplied by both.
    backward = torch.zeros_like(row.mT)
    backward[:, :signals] = torch.eye(signals, dtype=lags.dtype, device=lags.device)
    both = torch.cat([backward, torch.zeros_like(right)], dim=-1)
    forward, solution = both.split([signals, right.shape[-1]], dim=-1)
    errors = torch.stack([lags[:, 0], lags[:, 0]])  # of the forward and the backward predictor
    inverses = _inverse(errors)
    solution[:, :signals] = inverses[1] @ right[:, :signals]
    for tap in range(1, taps):
        old, new = slice(tap * signals), slice((tap + 1) * signals)
        next_row = row[:, :, (taps - 1 - tap) * signals : (taps - 1) * signals]
        gap, known = (next_row @ both[:, old]).tensor_split([signals], dim=-1)
        share = inverses @ torch.stack([gap.mT, gap])  # of the other predictor, to be taken away
        delayed = torch.zeros_like(backward[:, new])
        delayed[:, signals:] = backward[:, old]
        backward[:, new] = delayed - forward[:, new] @ share[0]
        forward[:, new] -= delayed @ share[1]
        errors = errors - torch.stack([gap.mT @ share[1], gap @ share[0]])
        inverses = _inverse(errors)
        missing = right[:, tap * signals : (tap + 1) * signals] - known
        solution[:, new] += backward[:, new] @ (inverses[1] @ missing)
    return solution.unflatten(1, (taps, signals))


def _inverse(matrix: Tensor) -> Tensor:
    """NaN or nonsense where it is singular."""
    inverse, _ = torch.linalg.inv_ex(matrix)
    return inverse


def _times(lags: Tensor, solution: Tensor) -> Tensor:
    """sum over n of G(m - n) solution_n: (B, L, P, Q)."""
    taps = lags.shape[1]
    around = torch.cat([lags, torch.zeros_like(lags[:, :1]), lags[:, 1:].flip(1).mT], dim=1)
    spectrum = torch.fft.rfft(around, dim=1) @ torch.fft.rfft(solution, 2 * taps, dim=1)
    return torch.fft.irfft(spectrum, 2 * taps, dim=1)[:, :taps]


def _factorised(lags: Tensor, right: Tensor) -> Tensor:
    """The same (L, P, Q) by Cholesky."""
    taps = torch.arange(len(lags), device=lags.device)
    around = torch.cat([lags[1:].flip(0).mT, lags])  # G(-L + 1), ..., G(L - 1)
    matrix = around[taps[:, None] - taps + len(lags) - 1].transpose(1, 2)
    matrix = matrix.flatten(2).flatten(0, 1)
    energy = matrix.diagonal().mean()
    for ridge in RIDGES:
        raised = matrix.clone()
        raised.diagonal().add_(ridge * energy)
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not failed:
            break
    return torch.cholesky_solve(right.flatten(0, 1), factor).unflatten(0, right.shape[:2])
