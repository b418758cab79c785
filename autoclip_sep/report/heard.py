"""Mixtures separated for a page to play: what is cut out of them, and how they are scaled."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from autoclip_sep.audio.flac import flac
from autoclip_sep.data.loading.segments import whole
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.evaluation.system import System
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.names import shown
from autoclip_sep.permutation import reorder
from autoclip_sep.stft import STFT

LONGEST = 8.0  # seconds of a sound
SHORT = 3.0  # seconds; rather than less of them, several channels become one
ROOM = 6_300_000  # bytes of all sounds of a page, before base64 adds a third
PEAK = 0.9  # of full scale, the loudest sound of an item
QUIET = 1e-4  # -40 dB of energy, where a source is as good as silent


@dataclass(frozen=True)
class Heard:
    """An item of a corpus and a system's estimates of its sources, or several systems'.

    mixture: (C, T). references: (S, C, T). estimates: of each system (S, C, T), in the order of the
    references. masks: of each system (S, F, N) over all of T, None where it has none of its own.
    stft: for pictures; the masks' own. start: of the part that is left, in samples. whole: the
    item's length.
    """

    item: str
    rate: int
    mixture: Tensor
    references: Tensor
    estimates: Sequence[Tensor]
    masks: Sequence[Tensor | None]
    stft: STFT
    start: int = 0
    whole: int = 0

    @property
    def seconds(self) -> float:
        """Of what is left."""
        return self.mixture.shape[-1] / self.rate

    @property
    def signals(self) -> list[Tensor]:
        """All of them, each (C, T)."""
        return [self.mixture, *self.references, *(one for group in self.estimates for one in group)]


def hear(split: Split, name: str, rate: int, systems: Sequence[System]) -> Heard:
    """An item of a split, separated by the systems (there may be none).

    Raises InputError where the split has no such item.
    """
    found = [number for number, item in enumerate(split.items) if item == name]
    if not found:
        raise InputError(f"the corpus has no item {shown(name)}")
    batch = whole(split, np.array(found[:1]))
    estimates, masks = [], []
    for system in systems:
        estimate, mask = system.whole(batch), None
        if isinstance(system, Separation) and batch.mixture.shape[-1] <= system.chunk:
            with torch.no_grad():
                mask = system.model(batch.to(system.device)).masks
        if system.permute:
            _, order = si_sdr_permuted(estimate.flatten(2), batch.sources.flatten(2))
            estimate = reorder(estimate, order)
            mask = None if mask is None else reorder(mask, order.to(mask.device))
        estimates.append(estimate[0])
        masks.append(None if mask is None else mask[0].mean(dim=1).cpu())
    length = batch.mixture.shape[-1]
    stft = _stft(systems, rate)
    return Heard(name, rate, batch.mixture[0], batch.sources[0], estimates, masks, stft, 0, length)


def alone(item: Heard) -> Heard:
    """The mixture without its sources."""
    return replace(item, references=item.references[:0])


def _stft(systems: Sequence[System], rate: int) -> STFT:
    """A network's own, or one with windows of about 32 ms."""
    for system in systems:
        if isinstance(system, Separation):
            return system.stft
    window = 2 ** round(math.log2(0.032 * rate))
    return STFT(window, window // 4)


def fitted(items: Sequence[Heard]) -> list[Heard]:
    """The items cut, and mixed down if need be, so that all their sounds have room in a page."""
    cut = [_part(item, LONGEST) for item in items]
    room, size = ROOM, _size(cut)
    if size <= room:
        return cut
    if LONGEST * room / size < SHORT:
        cut = [_mono(item) for item in cut]
        items = [_mono(item) for item in items]
        size = _size(cut)
    seconds = LONGEST * min(1.0, 0.9 * room / size)
    return [_part(item, seconds) for item in items]


def scaled(item: Heard) -> Heard:
    """With one gain for all its sounds: levels can be compared, and nothing clips."""
    loudest = max(float(signal.abs().max()) for signal in item.signals)
    gain = PEAK / loudest if loudest > 0 else 1.0
    return replace(
        item,
        mixture=item.mixture * gain,
        references=item.references * gain,
        estimates=[one * gain for one in item.estimates],
    )


def uri(signal: Tensor, rate: int) -> str:
    """A signal (C, T) as a data URI."""
    return f"data:audio/flac;base64,{base64.b64encode(flac(signal.numpy(), rate)).decode()}"


def _size(items: Sequence[Heard]) -> int:
    return sum(len(flac(signal.numpy(), item.rate)) for item in map(scaled, items)
               for signal in item.signals)  # fmt: skip


def _mono(item: Heard) -> Heard:
    return replace(
        item,
        mixture=item.mixture.mean(dim=0, keepdim=True),
        references=item.references.mean(dim=1, keepdim=True),
        estimates=[one.mean(dim=1, keepdim=True) for one in item.estimates],
    )


def _part(item: Heard, seconds: float) -> Heard:
    """The part of so many seconds in which most sources are active."""
    length = round(seconds * item.rate)
    if item.mixture.shape[-1] <= length:
        return item
    hop = item.stft.hop_length
    sources = item.references if len(item.references) else item.mixture[None]
    start = _most_active(sources, length, item.rate // 10) // hop * hop
    frames = slice(start // hop, (start + length) // hop + 1)
    return replace(
        item,
        mixture=item.mixture[..., start : start + length],
        references=item.references[..., start : start + length],
        estimates=[one[..., start : start + length] for one in item.estimates],
        masks=[one if one is None else one[..., frames] for one in item.masks],
        start=item.start + start,
    )


def _most_active(sources: Tensor, length: int, hop: int) -> int:
    """Where to begin, so that the sources (S, C, T) together are loud, each by its own measure."""
    energy = sources.double().square().sum(dim=1).cumsum(dim=-1)
    energy = torch.nn.functional.pad(energy, (1, 0))
    starts = torch.arange(0, energy.shape[-1] - length, hop)
    parts = energy[:, starts + length] - energy[:, starts]  # (S, starts)
    relative = parts / parts.amax(dim=1, keepdim=True).clamp_min(1e-30)
    return int(starts[relative.clamp_min(QUIET).log().sum(dim=0).argmax()])
