"""New music from old: each source of a training example from a track and a place of its own.

Source: Uhlich et al., "Improving music source separation based on deep neural networks through
data augmentation and network blending" (2017): random mixing of sources, gains in [0.25, 1.25],
channels swapped half of the time. As for plain segments everything follows from (seed, epoch,
index), so it doesn't matter which process reads a batch or where a run was interrupted.
Difference: tracks aren't drawn freely; an epoch has each source of each track equally often.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from autoclip_sep.data.loading.segments import Segments, as_batch
from autoclip_sep.data.store.reading import Split
from autoclip_sep.types import Batch


@dataclass(frozen=True)
class RandomTracks:
    """What is drawn anew for every training example.

    examples_per_track: an epoch has this many examples for each track. mix: sources come from
    tracks and places of their own; otherwise from one track and place. lowest_gain, highest_gain:
    of a source, uniform between them. swap: the probability that a source's channels are reversed.
    """

    examples_per_track: int = 64
    mix: bool = True
    lowest_gain: float = 0.25
    highest_gain: float = 1.25
    swap: float = 0.5

    def __post_init__(self) -> None:
        examples = self.examples_per_track
        if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
            raise ValueError(f"examples_per_track must be an integer from 1, not {examples!r}")
        if not isinstance(self.mix, bool):
            raise TypeError(f"mix must be true or false, not {self.mix!r}")
        if not 0 <= self.lowest_gain <= self.highest_gain < math.inf:
            raise ValueError(
                "gains must be finite, 0 or more, and the lowest not above the highest, not"
                f" {self.lowest_gain!r} to {self.highest_gain!r}"
            )
        if not 0 <= self.swap <= 1:
            raise ValueError(f"swap must be a probability, not {self.swap!r}")

    def batches(self, split: Split, *, segment: int, **share: int) -> Segments:
        """Training batches of a split; share: as of `Segments`."""
        return RandomMixtures(split, self, segment=segment, **share)


class Draws(NamedTuple):
    """What an epoch's examples are made of, each (examples, signals).

    places: in [0, 1), where in its track the segment lies.
    """

    tracks: NDArray[np.int64]
    places: NDArray[np.float64]
    gains: NDArray[np.float32]
    swapped: NDArray[np.bool_]


class RandomMixtures(Segments):
    """Training batches of mixtures that no track holds, addressed by (epoch, step).

    The arguments are those of `Segments`; segment can't be None. Tracks shorter than a segment are
    zero-padded at the end. An example is named by its tracks.
    """

    segment: int

    def __init__(self, split: Split, settings: RandomTracks, *, segment: int, **share: int) -> None:
        super().__init__(split, segment=segment, **share)
        self.settings = settings

    def __len__(self) -> int:
        """Examples per epoch."""
        return len(self.split) * self.settings.examples_per_track

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, step = key
        split, frames = self.split, self.segment
        drawn = draw(self.settings, len(split), len(split.targets), self.seed, epoch)
        drawn = Draws._make(column[self.examples(step)] for column in drawn)
        room = np.maximum(split.lengths[drawn.tracks] - frames, 0)
        starts = np.floor(drawn.places * (room + 1)).astype(np.int64)
        lengths = np.minimum(split.lengths[drawn.tracks] - starts, frames)
        split.fetch(drawn.tracks.ravel(), starts.ravel(), lengths.ravel())

        stored: NDArray[Any] = np.zeros((*starts.shape, split.channels, frames), split.dtype)
        for b, s in np.ndindex(starts.shape):
            track, start, length = int(drawn.tracks[b, s]), int(starts[b, s]), int(lengths[b, s])
            sound = split.signals(track, start, length)[s]
            stored[b, s, :, :length] = sound[::-1] if drawn.swapped[b, s] else sound
        signals = torch.from_numpy(stored).to(torch.float32)
        signals *= torch.from_numpy(drawn.gains * np.float32(split.scale))[:, :, None, None]
        names = tuple(
            " + ".join(dict.fromkeys(split.items[n] for n in row)) for row in drawn.tracks.tolist()
        )
        return as_batch(split, signals, lengths.max(axis=1), names)


@lru_cache(maxsize=4)
def draw(settings: RandomTracks, tracks: int, signals: int, seed: int, epoch: int) -> Draws:
    """The draws of an epoch; numpy promises to keep the generator's raw output."""
    # The third number keeps it apart from the generator of `epoch_plan`.
    generator = np.random.Philox(np.random.SeedSequence([seed, epoch, 1]))
    examples = tracks * settings.examples_per_track
    raw = generator.random_raw(4 * examples * signals).reshape(4, examples, signals)
    # A shuffled 0 1 2 ... in each column, modulo the tracks: each of them equally often.
    chosen = np.argsort(raw[0], axis=0, kind="stable") % tracks
    places, loudness, coins = (raw[1:] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if not settings.mix:
        chosen, places = (np.repeat(column[:, :1], signals, axis=1) for column in (chosen, places))
    width = settings.highest_gain - settings.lowest_gain
    gains = (settings.lowest_gain + width * loudness).astype(np.float32)
    return Draws(chosen.astype(np.int64), places, gains, coins < settings.swap)
