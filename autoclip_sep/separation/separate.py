"""The heads of a network to waveforms."""

from torch import Tensor

from autoclip_sep.separation.kmeans import cluster
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


def separate(
    estimate: Estimate, batch: Batch, stft: STFT, sources: int, soft: bool = False
) -> Tensor:
    """One waveform per source, as long as the mixture: (B, S, C, T).

    The network's own waveforms if it has them, else by its masks, else by masks from k-means on its
    embedding, binary or `soft`. A chimera network thus separates by its masks. sources: how many
    clusters there are to be, whatever the network was trained on.
    """
    if estimate.waveforms is not None:
        return estimate.waveforms
    mixture_stft, masks = estimate.head("mixture_stft"), estimate.masks
    if masks is None:
        masks = _cluster_channels(estimate.head("embedding"), mixture_stft, sources, soft)
    return apply_masks(masks, mixture_stft, stft, batch.mixture.shape[-1])


def apply_masks(masks: Tensor, mixture_stft: Tensor, stft: STFT, length: int) -> Tensor:
    """The masked mixture's waveforms, with the mixture's phase: (B, S, C, T) with T = length.

    masks: (B, S, C, F, N). mixture_stft: (B, C, F, N) complex.
    """
    return stft.inverse(masks * mixture_stft.unsqueeze(1), length)


def _cluster_channels(embedding: Tensor, mixture_stft: Tensor, sources: int, soft: bool) -> Tensor:
    """(B, C, K, D) and (B, C, F, N) to masks (B, S, C, F, N).

    The channels of an example are clustered together, concatenated as if they were frames, so that
    the order of the sources is the same in all of them.
    """
    channels = mixture_stft.shape[1]
    end_to_end = mixture_stft.transpose(1, 2).flatten(2)
    masks = cluster(embedding.flatten(1, 2), end_to_end, sources, soft=soft)
    return masks.unflatten(-1, (channels, -1)).movedim(-2, 2)
