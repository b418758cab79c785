"""A trained network with what must be known of it to separate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.runs import sources
from autoclip_sep.stft import STFT

CHUNK = 60  # seconds
OVERLAP = 1 / 12  # of a chunk


@dataclass(frozen=True)
class Model:
    """A trained network, from a run or from elsewhere.

    name: where it comes from. config: the parts of a run's config that separation needs (data,
    loss, model, stft), and in a model folder also training and scores, for its card.
    """

    name: str
    config: Mapping[str, Any]
    separation: Separation

    @property
    def sample_rate(self) -> int:
        """Of the corpus that it was trained on, in Hz."""
        return int(self.config["data"]["sample_rate"])

    def separate(self, mixture: Tensor) -> Tensor:
        """A mixture (C, T) at `sample_rate`, of any length, to waveforms (S, C, T) on the CPU.

        Raises InputError for a mixture of other axes or channels, or without samples.
        """
        channels = self.config["data"]["channels"]
        if mixture.ndim != 2 or len(mixture) != channels or not mixture.shape[1]:
            raise InputError(
                f"the mixture has shape {tuple(mixture.shape)}: must be ({channels}, samples)"
            )
        return torch.cat(list(self.separation.stream([mixture.float()])), dim=-1)


def separation_of(
    config: Mapping[str, Any],
    network: nn.Module,
    stft: STFT,
    device: torch.device,
    chunk: int = CHUNK,
    overlap: float = OVERLAP,
) -> Separation:
    """The network with the number and order of sources that a config says.

    chunk: seconds, of the chunks in which long mixtures are separated. overlap: of a chunk.
    """
    data = config["data"]
    samples = chunk * data["sample_rate"]
    return Separation(
        network.to(device).eval(),
        stft.to(device),
        data["sources"],
        device,
        permute=sources.are_permuted(config),
        chunk=samples,
        overlap=int(overlap * samples),
        scaled=not config["loss"].get("scale_invariant", False),
    )
