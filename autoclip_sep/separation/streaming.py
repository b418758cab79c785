"""A mixture that comes block by block, separated by a causal network without waiting for its end.

The samples are those of the whole mixture separated at once, to rounding: the state of the
recurrent layers is carried from frame to frame, and the inverse STFT has every frame that covers a
sample before the sample leaves.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from autoclip_sep.models.blstm import State
from autoclip_sep.models.separator import Separator
from autoclip_sep.stft import STFT


def latency(stft: STFT) -> int:
    """Samples: the source's sample t has left once sample t + latency of the mixture is there.

    A sample waits for the last frame that covers it, and that frame for its own last sample.
    """
    return stft.window_length


def separate_frames(network: Separator, mixture: Iterable[Tensor]) -> Iterator[Tensor]:
    """Blocks (C, n) of any lengths to blocks (S, C, n) of others, n = 0 left out.

    network: one that `streams`, in evaluation mode.
    """
    stft, hop = network.stft, network.stft.hop_length
    before = stft.window_length // 2  # frame n begins that much before sample n * hop
    after = stft.window_length - before
    kept = -(-stft.window_length // hop) - 1  # frames before a new one that reach into its samples
    held: Tensor | None = None  # of the mixture, from sample `start` on, a multiple of the hop
    masked: Tensor | None = None  # the last frames of the sources' spectra (C, S, F, N)
    state: State | None = None
    start = number = done = 0  # number: of frames so far; done: samples that have left
    for block, last in _marked(mixture):
        held = block if held is None else torch.cat([held, block], dim=-1)
        length = start + held.shape[-1]
        ready = 1 + (length + (before - after if last else -after)) // hop
        if ready <= number:
            continue
        spectrum = stft.transform(held)[..., number - start // hop : ready - start // hop]
        masks, state = network.next_masks(spectrum, state)
        new = masks * spectrum.unsqueeze(1)
        masked = new if masked is None else torch.cat([masked, new], dim=-1)
        first = ready - masked.shape[-1]
        end = length if last else ready * hop - before
        if end > done:
            waveforms = stft.inverse(masked, end - first * hop)[..., done - first * hop :]
            yield waveforms.transpose(0, 1)
            done = end
        number = ready
        masked = masked[..., -kept:]
        passed = max(0, (number * hop - before) // hop * hop)  # the next frame begins behind it
        held, start = held[..., passed - start :], passed


def _marked(mixture: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """The blocks that aren't empty, and an empty one at the end, which is marked as the last."""
    end: Tensor | None = None
    for block in mixture:
        if block.shape[-1]:
            yield block, False
            end = block[..., :0]
    if end is not None:
        yield end, True
