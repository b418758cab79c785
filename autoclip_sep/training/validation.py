"""Loss and SI-SDR on the same excerpts of the validation set after every epoch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from autoclip_sep.data.loaders import fixed_excerpts
from autoclip_sep.data.store import Split
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

Objective = Callable[[Estimate, Batch], Tensor]


@torch.no_grad()
def validate(
    model: nn.Module,
    objective: Objective,
    split: Split,
    stft: STFT,
    *,
    batch_size: int,
    excerpt: int,
    device: torch.device,
) -> tuple[float, float]:
    """Mean loss and mean SI-SDR [dB] in float32, dropout off.

    Sources that are silent in their excerpt have no SI-SDR and don't count.
    """
    training = model.training
    model.eval()
    losses, scores = [], []
    for host_batch in fixed_excerpts(split, batch_size, excerpt):
        batch = host_batch.to(device)
        estimate = model(batch)
        losses.append(objective(estimate, batch).double())
        waveforms = separate(estimate, batch, stft, batch.sources.shape[1])
        found, _ = si_sdr_permuted(
            waveforms.transpose(1, 2).flatten(0, 1), batch.sources.transpose(1, 2).flatten(0, 1)
        )
        scores.append(found.flatten().double())
    model.train(training)
    return float(torch.cat(losses).mean()), float(torch.cat(scores).nanmean())
