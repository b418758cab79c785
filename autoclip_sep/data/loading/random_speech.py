"""New speech from old: other speakers together in every epoch, at other levels and speeds.

Sources: dynamic mixing, Zeghidour and Grangier, "Wavesplit: end-to-end speech separation by speaker
clustering" (2020); levels as the corpus' own procedure draws them (`Levels`); speeds, see `speed`.
As for plain segments everything follows from (seed, epoch, index).

Differences: the corpus' mixtures are taken apart, no other recordings are needed. An epoch has as
many mixtures as the corpus and takes each of their sources once, so that every utterance is heard
as often as in the corpus' own epoch. A mixture takes the place of one of the corpus: it keeps the
noise of that one, if it has any. In a corpus of WSJ0-mix's kind it keeps its level, too: there the
level is what made the loudest peak 0.9. The sources of such a corpus are stored as they were
mixed, at their gains and, of `min`, cut to the shorter utterance; so they are brought to a new
level by the mean power of all that is stored of them, padding aside, in place of the whole
utterance's active level (ITU-T P.56; on the built-in corpus the two differ by 0.28 dB, with a
standard deviation of 0.14 dB).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoclip_sep.data.loading.segments import Segments, as_batch, epoch_plan
from autoclip_sep.data.loading.speakers_apart import keep_apart
from autoclip_sep.data.loading.speed import NORMAL, as_ratio, at_speed, length_at, one_thread
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.types import Batch


class Levels(NamedTuple):
    """How a corpus' own procedure draws the levels of a mixture's speakers, in dB.

    Uniform from lowest to highest. opposite: of two speakers the second is as far below the
    mixture's level as the first is above it. absolute: against full scale; otherwise against the
    level of the mixture whose place is taken.
    """

    lowest: float
    highest: float
    opposite: bool = False
    absolute: bool = False


# Hershey et al., 2016: 0 to 5 dB between two speakers.
WSJ0_MIX = Levels(-2.5, 2.5, opposite=True)
# Cosentino et al., 2020: -33 to -25 LUFS each.
LIBRIMIX = Levels(-33.0, -25.0, absolute=True)


@dataclass(frozen=True)
class RandomSpeech:
    """What is drawn anew for every training example.

    mix: speakers from different mixtures come together, at new levels; otherwise mixtures stay as
    they are. gains: the lowest and the highest in dB, uniform for each speaker, against the level
    of the mixture whose place is taken; None draws levels as the corpus' own procedure does.
    speeds: one of them is drawn for each source; empty leaves all as they are.

    speakers_of: the speaker of each source of a mixture, by its name; levels: of the corpus' own
    procedure. Both are the corpus', not settings.
    """

    mix: bool = True
    gains: Sequence[float] | None = None
    speeds: Sequence[float] = ()
    speakers_of: Callable[[str], Sequence[str]] | None = None
    levels: Levels = WSJ0_MIX

    def __post_init__(self) -> None:
        if self.gains is not None and (
            len(self.gains) != 2 or not -60 <= self.gains[0] <= self.gains[1] <= 60
        ):
            raise ValueError(
                f"gains must be the lowest and the highest, from -60 to 60 dB, not {self.gains!r}"
            )
        if self.gains is not None and not self.mix:
            raise ValueError("gains are drawn only where mixtures are: mix=true")
        for speed in self.speeds:
            as_ratio(speed)

    @property
    def drawn_levels(self) -> Levels:
        """The corpus', or those of the setting."""
        if self.gains is None:
            return self.levels
        lowest, highest = self.gains
        return Levels(lowest, highest)

    def batches(self, split: Split, *, segment: int, **share: int) -> Segments:
        """Training batches of a split; share: as of `Segments`."""
        return MixedSpeech(split, self, segment=segment, **share)


class Draws(NamedTuple):
    """What an epoch's examples are made of.

    items: (examples,) whose place each takes; place: (examples,) in [0, 1), where the segment lies
    in it. sources: (examples, S), item * S + source. places, gains [dB]: of the sources,
    (examples, S); speeds: likewise, numbers of the settings' speeds.
    """

    items: NDArray[np.int64]
    place: NDArray[np.float64]
    sources: NDArray[np.int64]
    places: NDArray[np.float64]
    gains: NDArray[np.float64]
    speeds: NDArray[np.int64]


class Part(NamedTuple):
    """One signal of an example: where it is put, and whose it is in the store.

    room: samples at its speed in which the segment lies at `place` in [0, 1).
    """

    into: int
    item: int
    signal: int
    place: float
    room: int
    speed: Fraction = NORMAL
    factor: float = 1.0


class MixedSpeech(Segments):
    """Training batches of `RandomSpeech`, addressed by (epoch, step).

    The arguments are those of `Segments`; segment can't be None. All signals of an example are cut
    to the shortest, as mixtures of the kind `min` are. An example is named by the mixtures that it
    is made of.

    Raises InputError where speakers aren't known, or can't be kept apart.
    """

    segment: int

    def __init__(self, split: Split, settings: RandomSpeech, *, segment: int, **share: int) -> None:
        super().__init__(split, segment=segment, **share)
        self.settings = settings
        self.speeds = [as_ratio(speed) for speed in settings.speeds] or [NORMAL]
        self._targets = np.flatnonzero(split.targets).tolist()
        self._noises = np.flatnonzero(~split.targets).tolist()
        self._speakers = speakers(split, settings.speakers_of) if settings.mix else None
        self._powers = np.full((len(split), split.sources), np.nan)  # measured as they are needed
        self._drawn: tuple[int, Draws] | None = None

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, step = key
        split, examples = self.split, self.examples(step)
        shape = (len(examples), len(split.targets), split.channels, self.segment)
        signals, lengths, names = torch.zeros(shape), np.zeros(len(examples), np.int64), []
        with one_thread():
            for b, n in enumerate(examples.tolist()):
                parts = self._parts(self._draws(epoch), n)
                lengths[b] = length = min(self.segment, *(part.room for part in parts))
                for part in parts:
                    signals[b, part.into, :, :length] = self._read(part, length)
                names.append(" + ".join(dict.fromkeys(split.items[part.item] for part in parts)))
        return as_batch(split, signals, lengths, tuple(names))

    def _draws(self, epoch: int) -> Draws:
        if self._drawn is None or self._drawn[0] != epoch:
            size = (len(self.split), self.split.sources)
            self._drawn = epoch, draw(self.settings, size, self._speakers, self.seed, epoch)
        return self._drawn[1]

    def _parts(self, drawn: Draws, n: int) -> list[Part]:
        """The signals of an example, those that are estimated first."""
        item, mix = int(drawn.items[n]), self.settings.mix
        lengths, parts = self.split.lengths, []
        for s, into in enumerate(self._targets):
            whose, source = divmod(int(drawn.sources[n, s]), self.split.sources)
            speed = self.speeds[drawn.speeds[n, s]]
            room = length_at(speed, int(lengths[whose]))
            factor = self._factor(item, whose, source, drawn.gains[n, s]) if mix else 1.0
            place = float(drawn.places[n, s])
            parts.append(Part(into, whose, self._targets[source], place, room, speed, factor))
        place, room = float(drawn.place[n]), int(lengths[item])
        parts += [Part(noise, item, noise, place, room) for noise in self._noises]
        if not mix:  # what belongs together stays so
            room = min(part.room for part in parts)
            parts = [part._replace(room=room) for part in parts]
        return parts

    def _read(self, part: Part, frames: int) -> Tensor:
        """The segment of a signal, (C, frames)."""

        def read(start: int, count: int) -> NDArray[Any]:
            return self.split.signals(part.item, start, count)[part.signal]

        start = math.floor(part.place * (part.room - frames + 1))
        length = int(self.split.lengths[part.item])
        sound = at_speed(part.speed, read, length, start, frames)
        return sound * (part.factor * self.split.scale)

    def _factor(self, item: int, whose: int, source: int, gain: float) -> float:
        """What brings a source to its new level in the place of mixture `item`."""
        own = self._power(whose, source)
        if own == 0.0:
            return 1.0
        if self.settings.drawn_levels.absolute:
            level = 0.0
        else:
            powers = [self._power(item, s) for s in range(self.split.sources)]
            level = float(np.mean([10 * math.log10(p) for p in powers if p] or [0.0]))
        return math.sqrt(10 ** ((level + gain) / 10) / own)

    def _power(self, item: int, source: int) -> float:
        """Mean power of a source, padding aside, where full scale is 1; 0.0 for silence."""
        known = self._powers[item, source]
        if np.isnan(known):
            # In float64 and not by a product of vectors, whose bits depend on the threads.
            sound = self.split.signals(item)[self._targets[source]].astype(np.float64)
            heard = np.flatnonzero(sound.any(axis=0))
            extent = heard[-1] - heard[0] + 1 if len(heard) else 1
            power = np.square(sound).sum() * self.split.scale**2 / (extent * len(sound))
            known = self._powers[item, source] = power
        return float(known)


def draw(
    settings: RandomSpeech, size: tuple[int, int], who: NDArray[np.int64] | None,
    seed: int, epoch: int,
) -> Draws:  # fmt: skip
    """The draws of an epoch; numpy promises to keep the generator's raw output.

    size: mixtures and sources of each. who: (mixtures * sources,) speakers; None mixes nothing.
    """
    items, place = epoch_plan(size[0], seed, epoch)
    # The third number keeps it apart from the generators of `epoch_plan` and of music.
    generator = np.random.Philox(np.random.SeedSequence([seed, epoch, 2]))
    raw = generator.random_raw(4 * size[0] * size[1]).reshape(4, *size)
    places, gains, speeds = (raw[1:] >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if who is None:
        sources = items[:, None] * size[1] + np.arange(size[1])
        places = np.repeat(place[:, None], size[1], axis=1)
    else:
        order = np.argsort(raw[0].ravel(), kind="stable").astype(np.int64)
        sources = keep_apart(order.reshape(size), who)
    levels = settings.drawn_levels
    gains = levels.lowest + (levels.highest - levels.lowest) * gains
    if levels.opposite and size[1] == 2:
        gains[:, 1] = -gains[:, 0]
    numbers = np.floor(speeds * max(1, len(settings.speeds))).astype(np.int64)
    return Draws(items, place, sources, places, gains, numbers)


def speakers(split: Split, speakers_of: Callable[[str], Sequence[str]] | None) -> NDArray[np.int64]:
    """A number for the speaker of each source, (mixtures * S,).

    Raises InputError where a mixture's name doesn't tell them.
    """
    found = [tuple(speakers_of(item)) if speakers_of else () for item in split.items]
    for item, names in zip(split.items, found, strict=True):
        if len(names) != split.sources:
            raise InputError(
                f"data.augmentation: the name {item} doesn't tell the {split.sources} speakers, who"
                " must be known to mix different ones: data.augmentation.mix=false leaves mixtures"
                " as they are"
            )
    return np.unique(np.array(found), return_inverse=True)[1].reshape(-1)
