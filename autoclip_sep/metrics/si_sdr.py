"""Scale-invariant signal-to-distortion ratio.

Source: Le Roux et al., "SDR - half-baked or well done?" (2019), Eq. (3)-(5). As defined there the
mean of the signals is not removed.
Difference: scores are clamped to +-100 dB, so that those of an estimate equal to its reference and
of one orthogonal to it are finite; 16-bit audio can't reach either.
"""

import torch
from torch import Tensor

from autoclip_sep.permutation import best_permutation
from autoclip_sep.precision import full_precision

LIMIT = 100.0


@full_precision
def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """10 log10( ||a s||^2 / ||a s - s_hat||^2 ) in dB, with a = <s_hat, s> / ||s||^2; (...).

    estimate, reference: (..., T). Summed in float64, returned in the estimate's type.
    NaN, "undefined", for a silent reference or a silent estimate: callers exclude and count
    those.
    """
    product = _product(estimate.double(), reference.double())
    score = _score(product, _energy(estimate), _energy(reference))
    return score.to(estimate.dtype)


@full_precision
def si_sdr_permuted(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """SI-SDR under the permutation of the estimates with the highest mean.

    estimate, reference: (B, S, T).

    Returns scores (B, S) in dB, at j that of reference j, and the permutation (B, S), at j the
    estimate assigned to reference j. Undefined scores are NaN; permutations with the most defined
    scores win, so silent estimates are assigned to silent references.
    """
    gram = estimate.double() @ reference.double().transpose(1, 2)
    scores = _score(gram, _energy(estimate)[:, :, None], _energy(reference)[:, None, :])
    lowest = -2 * LIMIT * scores.shape[-1]  # below anything that a permutation can gain
    _, permutation = best_permutation(-scores.nan_to_num(nan=lowest))
    best = scores.gather(1, permutation.unsqueeze(1)).squeeze(1)
    return best.to(estimate.dtype), permutation


def _energy(signal: Tensor) -> Tensor:
    """(..., T) to (...), without a copy of the squares, which takes longer than the sum."""
    return _product(signal.double(), signal.double())


def _product(one: Tensor, other: Tensor) -> Tensor:
    """<one, other>, (..., T) to (...)."""
    return (one.unsqueeze(-2) @ other.unsqueeze(-1)).squeeze(-1).squeeze(-1)


def _score(product: Tensor, estimate_energy: Tensor, reference_energy: Tensor) -> Tensor:
    """dB from <s_hat, s>, ||s_hat||^2, ||s||^2: cos^2 / sin^2 of the angle between the signals."""
    cosine = product.square() / (estimate_energy * reference_energy)  # 0 / 0 = NaN for silence
    ratio = cosine / (1 - cosine).clamp_min(0.0)
    return (10 * torch.log10(ratio)).clamp(-LIMIT, LIMIT)
