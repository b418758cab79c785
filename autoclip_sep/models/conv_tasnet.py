"""Conv-TasNet: a learned filterbank and a temporal convolutional network that masks it.

Source: Luo and Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for
Speech Separation" (2019), in torchaudio's implementation (non-causal, global layer normalisation).
configs/model/conv_tasnet.yaml gives the paper's letter for each argument.
"""

from torch import Tensor, nn
from torchaudio.models import ConvTasNet as Network

from autoclip_sep.precision import widen
from autoclip_sep.types import Batch, Estimate


class ConvTasNet(nn.Module):
    """Waveforms of `sources` sources; channels are separated one by one, by the same weights.

    kernel_size: of the filterbank, in samples, even; it moves by half of that.
    """

    heads = frozenset({"waveforms"})

    def __init__(
        self,
        sources: int = 2,
        filters: int = 512,
        kernel_size: int = 16,
        bottleneck: int = 128,
        hidden: int = 512,
        mask_kernel_size: int = 3,
        layers: int = 8,
        stacks: int = 3,
        mask: str = "sigmoid",
    ) -> None:
        super().__init__()
        self.network = Network(
            num_sources=sources,
            enc_kernel_size=kernel_size,
            enc_num_feats=filters,
            msk_kernel_size=mask_kernel_size,
            msk_num_feats=bottleneck,
            msk_num_hidden_feats=hidden,
            msk_num_layers=layers,
            msk_num_stacks=stacks,
            msk_activate=mask,
        )

    def forward(self, batch: Batch) -> Estimate:
        """Mixtures (B, C, T) to waveforms (B, S, C, T)."""
        channels = batch.mixture.shape[1]
        separated: Tensor = widen(self.network(batch.mixture.flatten(0, 1).unsqueeze(1)))
        return Estimate(waveforms=separated.unflatten(0, (-1, channels)).transpose(1, 2))
