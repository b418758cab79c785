"""Chimera: one network with two heads, masks and embeddings, trained on both losses.

Source: Seetharaman et al., "AutoClip" (2020), Eq. (7); Wang et al., "Alternative objective
functions for deep clustering" (2018).
"""

from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.losses.mask_inference import MaskInference
from autoclip_sep.losses.whitened_kmeans import WhitenedKMeans
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


class Chimera:
    """Eq. (7): alpha L_MI + (1 - alpha) L_WKM. Heads: masks, embedding.

    The paper's alpha = 0.75 needs an STFT that divides by its window's sum, as `STFT` does: the two
    losses differ by six orders of magnitude.
    Raises InputError for an alpha outside [0, 1].
    """

    def __init__(
        self,
        stft: STFT,
        alpha: float = 0.75,
        permute: bool = True,
        weighted: bool = True,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha={alpha}: the weight of mask inference must be from 0 to 1")
        self.alpha = alpha
        self.mask_inference = MaskInference(stft, permute)
        self.whitened_kmeans = WhitenedKMeans(stft, weighted)

    def __call__(self, estimate: Estimate, batch: Batch) -> Tensor:
        mask_inference = self.mask_inference(estimate, batch)
        whitened_kmeans = self.whitened_kmeans(estimate, batch)
        return self.alpha * mask_inference + (1 - self.alpha) * whitened_kmeans  # Eq. (7)
