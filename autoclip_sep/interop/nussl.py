"""A trained network as a separation object of nussl.

Source: Manilow, Seetharaman and Pardo, "The Northwestern University Source Separation Library"
(2018); nussl 1.1.9. Importing this module imports nussl, with or without ffmpeg and SoX; InputError
where nussl is missing.
"""

from typing import Any, TypeAlias

import torch
from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.models.separator import Separator
from autoclip_sep.optional import import_nussl
from autoclip_sep.separation.separate import separate
from autoclip_sep.types import Batch

nussl: Any = import_nussl()
AudioSignal: TypeAlias = Any  # nussl.AudioSignal; nussl has no types
Base: Any = nussl.separation.SeparationBase


class NetworkSeparation(Base):
    """Separates an AudioSignal with a network of ours; calling it gives one AudioSignal per source.

    mixture: nussl.AudioSignal, of any number of channels.
    network: is put in evaluation mode and stays on its device.
    sample_rate: of the corpus that the network was trained on, in Hz.

    Raises InputError for a mixture of another sample rate, or without samples.
    """

    def __init__(
        self, mixture: AudioSignal, network: Separator, sample_rate: int, sources: int = 2
    ) -> None:
        self.network = network.eval()
        self.network_rate = sample_rate
        self.sources = sources
        self.estimates: list[AudioSignal] = []
        super().__init__(mixture)

    def run(self) -> list[AudioSignal]:
        """Separates the mixture that is set; the estimates share its rate, length and channels."""
        if not self.audio_signal.has_data:
            raise InputError("the mixture has no samples: read a file into it first")
        if self.sample_rate != self.network_rate:
            raise InputError(
                f"the mixture has {self.sample_rate} Hz, the network was trained at "
                f"{self.network_rate} Hz: call mixture.resample({self.network_rate}) first"
            )
        device = next(self.network.parameters()).device
        batch = to_batch(self.audio_signal).to(device)
        with torch.inference_mode():
            waveforms = separate(self.network(batch), batch, self.network.stft, self.sources)
        self.estimates = [to_signal(waveform, self.audio_signal) for waveform in waveforms[0]]
        return self.estimates

    def make_audio_signals(self) -> list[AudioSignal]:
        """The estimates of the last run; nussl calls this after it."""
        return self.estimates


def to_batch(mixture: AudioSignal) -> Batch:
    """A batch of one: mixture (1, C, T), no sources (1, 0, C, T)."""
    waveform = torch.as_tensor(mixture.audio_data, dtype=torch.float32, device="cpu")[None]
    lengths = torch.tensor([waveform.shape[-1]], device="cpu")
    return Batch(waveform, waveform.new_zeros(1, 0, *waveform.shape[1:]), lengths, ("mixture",))


def to_signal(waveform: Tensor, like: AudioSignal) -> AudioSignal:
    """(C, T) as an AudioSignal with the sample rate and STFT parameters of another."""
    samples = waveform.double().cpu().numpy()
    return like.make_copy_with_audio_data(samples, verbose=False)
