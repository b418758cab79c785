"""Signal-to-noise ratio of waveforms, permutation-free.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (8).
Difference: both energies get a floor of 1e-12 times the mean energy of the example's references
and estimates, so that each ratio stays within about +-120 dB and silence has a finite loss and
gradient. A silent reference still pulls its estimate towards silence.
"""

from torch import Tensor

from autoclip_sep.losses._objectives import WaveformObjective, floor_of, in_order_of_estimates
from autoclip_sep.precision import full_precision


@full_precision
def snr_loss(estimate: Tensor, reference: Tensor, permute: bool = True) -> Tensor:
    """Eq. (8): -10 log10( ||s||^2 / ||s - s_hat||^2 ) in dB, the mean over sources, (B,).

    estimate, reference: (B, S, T).
    permute: use the best permutation of the estimates for each utterance; otherwise estimate i is
    for reference i. Scaling both signals changes nothing. Where all is silent the loss is 0.
    """
    if permute:
        floor = _floor(estimate.detach(), reference)
        # ||s||^2 is the same in every order: the errors alone decide.
        reference = in_order_of_estimates(
            estimate.detach(), reference, lambda e, r: ((e - r).square().sum(-1) + floor).log10()
        )
    floor = _floor(estimate.detach(), reference)
    error = (reference - estimate).square().sum(dim=-1) + floor
    energy = reference.square().sum(dim=-1) + floor
    return 10 * (error.log10() - energy.log10()).mean(dim=-1)  # Eq. (8)


def _floor(estimate: Tensor, reference: Tensor) -> Tensor:
    """(B, 1): of references and estimates together."""
    return floor_of(estimate.square().sum(dim=-1) + reference.square().sum(dim=-1))


class SNR(WaveformObjective):
    """Trains waveforms with `snr_loss`. Head: waveforms."""

    loss = staticmethod(snr_loss)
