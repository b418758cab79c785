"""Loss and SI-SDR of a network on fixed batches, as every epoch ends with them."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.training import distributed
from autoclip_sep.types import Batch, Estimate

Objective = Callable[[Estimate, Batch], Tensor]


@torch.no_grad()
def validate(
    model: nn.Module,
    objective: Objective,
    batches: Iterable[Batch],
    stft: STFT,
    *,
    device: torch.device,
    permute: bool = True,
) -> tuple[float, float]:
    """Mean loss and mean SI-SDR [dB] in float32, dropout off.

    batches: the same in every process. permute: whether estimates may be in any order.

    Sources that are silent in their segment have no SI-SDR and are left out. Several processes
    share the batches and get the same means.
    """
    training = model.training
    model.eval()
    losses, scores = {}, {}
    for number, host_batch in enumerate(batches):
        if number % distributed.world() != distributed.rank():
            continue
        batch = host_batch.to(device)
        estimate = model(batch)
        losses[number] = objective(estimate, batch).double().cpu()
        waveforms = separate(estimate, batch, stft, batch.sources.shape[1])
        scores[number] = _scores(waveforms, batch.sources, permute).flatten().double().cpu()
    model.train(training)
    return float(_gathered(losses).mean()), float(_gathered(scores).nanmean())


def _scores(waveforms: Tensor, sources: Tensor, permute: bool) -> Tensor:
    """SI-SDR of each source; with `permute`, each channel is permuted on its own."""
    if not permute:
        return si_sdr(waveforms.flatten(2), sources.flatten(2))
    channels = (signal.transpose(1, 2).flatten(0, 1) for signal in (waveforms, sources))
    return si_sdr_permuted(*channels)[0]


def _gathered(parts: dict[int, Tensor]) -> Tensor:
    """The parts of all processes, concatenated in the order of their batches."""
    everyones = {n: part for own in distributed.gather(parts) for n, part in own.items()}
    return torch.cat([everyones[number] for number in sorted(everyones)])
