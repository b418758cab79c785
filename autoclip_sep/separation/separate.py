"""Whatever heads a network has, to waveforms."""

from torch import Tensor

from autoclip_sep.separation.kmeans import cluster
from autoclip_sep.separation.masking import apply_masks
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


def separate(estimate: Estimate, batch: Batch, stft: STFT, sources: int) -> Tensor:
    """One waveform per source, as long as the mixture: (B, S, C, T).

    The network's own waveforms if it has them, else its masks, else binary masks from k-means on
    its embedding. A chimera network is thus heard through its masks.
    """
    if estimate.waveforms is not None:
        return estimate.waveforms
    mixture_stft, masks = estimate.head("mixture_stft"), estimate.masks
    if masks is None:
        masks = _cluster_channels(estimate.head("embedding"), mixture_stft, sources)
    return apply_masks(masks, mixture_stft, stft, batch.mixture.shape[-1])


def _cluster_channels(embedding: Tensor, mixture_stft: Tensor, sources: int) -> Tensor:
    """(B, C, K, D) and (B, C, F, N) to masks (B, S, C, F, N).

    The channels of an example are clustered together, laid end to end as if they were more frames,
    so that a source keeps its place in all of them.
    """
    channels = mixture_stft.shape[1]
    end_to_end = mixture_stft.transpose(1, 2).flatten(2)
    masks = cluster(embedding.flatten(1, 2), end_to_end, sources)
    return masks.unflatten(-1, (channels, -1)).movedim(-2, 2)
