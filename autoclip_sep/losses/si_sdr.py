"""Negative scale-invariant signal-to-distortion ratio of waveforms, permutation-free.

Source: Le Roux et al., "SDR - half-baked or well done?" (2019), Eq. (3)-(5), as a loss in Luo and
Mesgarani, "Conv-TasNet" (2019), section II-D. As in the metric the mean is not removed.
Difference: target and error get a floor of 1e-12 times the mean energy of the example's estimates,
so that each ratio stays within about +-120 dB and silence has a finite loss and gradient. A silent
reference pulls its estimate towards silence.
"""

from torch import Tensor

from autoclip_sep.losses._objectives import WaveformObjective, floor_of, in_order_of_estimates
from autoclip_sep.precision import full_precision


@full_precision
def si_sdr_loss(estimate: Tensor, reference: Tensor, permute: bool = True) -> Tensor:
    """-10 log10( ||a s||^2 / ||a s - s_hat||^2 ) in dB, the mean over sources, (B,).

    a = <s_hat, s> / ||s||^2. estimate, reference: (B, S, T).
    permute: use the best permutation of the estimates for each utterance; otherwise estimate i is
    for reference i. Scaling either signal changes nothing. Where all is silent the loss is 0.
    """
    energies = (signals.square().sum(dim=-1) for signals in (estimate.detach(), reference))
    floors = tuple(map(floor_of, energies))
    if permute:
        reference = in_order_of_estimates(
            estimate.detach(), reference, lambda e, r: _negative(e, r, floors)
        )
    return _negative(estimate, reference, floors).mean(dim=-1)


def _negative(estimate: Tensor, reference: Tensor, floors: tuple[Tensor, ...]) -> Tensor:
    """The negative ratio [dB] of each signal (..., T); floors: of the estimates', references'."""
    own, others = floors
    scale = (estimate * reference).sum(dim=-1) / (reference.square().sum(dim=-1) + others)
    target = scale.unsqueeze(-1) * reference  # Eq. (3)
    error = (target - estimate).square().sum(dim=-1) + own
    return 10 * (error.log10() - (target.square().sum(dim=-1) + own).log10())  # Eq. (5)


class SISDR(WaveformObjective):
    """Trains waveforms with `si_sdr_loss`. Head: waveforms.

    The estimates of such a network have no scale: rescale them to the mixture before listening.
    """

    loss = staticmethod(si_sdr_loss)
