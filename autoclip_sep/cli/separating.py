"""A sound through a trained network: channels, rates, the sources' names, latency."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoclip_sep.audio import resampling
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.pretrained import Model
from autoclip_sep.runs import sources

Block = NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """What is to be separated: its name in messages, its rate in Hz, and its samples (C, n).

    frames: how many samples there are; None of a pipe.
    """

    name: str
    sample_rate: int
    channels: int
    blocks: Iterable[Block]
    frames: int | None = None


def separated(run: Model, sound: Sound, downmix: bool) -> Iterator[Block]:
    """Blocks (S, C, n), together as long as the sound, at its rate, with the network's channels.

    Raises InputError, before the first block, for channels that the network doesn't take.
    """
    rate, channels = run.config["data"]["sample_rate"], run.config["data"]["channels"]
    if sound.channels > channels == 1 and not downmix:
        raise InputError(
            f"{sound.name} has {sound.channels} channels, the network takes one: add downmix=true"
        )
    if sound.channels != channels and 1 not in (sound.channels, channels):
        raise InputError(
            f"{sound.name} has {sound.channels} channels, the network takes {channels}"
        )
    if sound.channels == 1 < channels:
        print(f"{shown(sound.name)}: one channel, given to the network as {channels}")
    if sound.sample_rate != rate:
        print(f"{shown(sound.name)}: resampled from {sound.sample_rate} to {rate} Hz and back")
    return _separated(run, sound, rate, channels)


def _separated(run: Model, sound: Sound, rate: int, channels: int) -> Iterator[Block]:
    read = 0

    def mixture() -> Iterator[Tensor]:
        nonlocal read
        for block in sound.blocks:
            read += block.shape[1]
            yield _with_channels(torch.from_numpy(block), channels)

    into = _resample(mixture(), sound.sample_rate, rate)
    written = 0
    for block in _resample(run.separation.stream(into), rate, sound.sample_rate):
        # Resampling there and back rounds up, twice; all is read before the last block comes.
        yield block[..., : read - written].numpy()
        written = min(read, written + block.shape[-1])


def latency(run: Model, sample_rate: int) -> int:
    """Samples, at the sound's rate, that `separated` needs beyond one to give it, at the most."""
    own = run.config["data"]["sample_rate"]
    inside = run.separation.latency + resampling.latency(own, sample_rate)
    return resampling.latency(sample_rate, own) + ceil(inside * sample_rate / own)


def source_names(run: Model) -> list[str]:
    """vocals, drums, ...; s1, s2, ... where sources or estimates have no names."""
    names = sources.names(run.config)
    if run.separation.permute or names[0].isdecimal():
        return [f"s{number}" for number in range(1, run.separation.sources + 1)]
    return list(names)


def _with_channels(waveform: Tensor, channels: int) -> Tensor:
    """(C, n) mixed down to one channel, or one channel given to all."""
    if len(waveform) > channels == 1:
        return waveform.mean(dim=0, keepdim=True)
    return waveform.expand(channels, -1)


def _resample(blocks: Iterable[Tensor], source: int, target: int) -> Iterator[Tensor]:
    resampled = resampling.resample_blocks((block.numpy() for block in blocks), source, target)
    return (torch.from_numpy(block) for block in resampled)
