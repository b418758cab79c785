"""What each clipping gains on one task, and what it costs to tune: the numbers.

Gain: SI-SDR improvement on the test set. Cost: within a family (one way of clipping, several
settings) how far the worst setting lies below the best, which is the most that a guess can lose,
and how many runs it took to know. p = 100 counts as no clipping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from autoclip_sep.figures.clippers.clipped_shares import share
from autoclip_sep.figures.clipping_methods import NO_CLIPPING, Clipping, by_clipping
from autoclip_sep.figures.comparable import OverSeeds, over_seeds
from autoclip_sep.figures.footer import Origin, origin
from autoclip_sep.figures.runs import RunFound


@dataclass(frozen=True)
class Setting:
    """One clipping. gain: SI-SDR improvement; over_none: minus no clipping's of the same seed; dB.

    share: of all steps in [0, 1], those that were clipped.
    """

    clipping: Clipping
    gain: OverSeeds
    over_none: OverSeeds
    share: OverSeeds


@dataclass(frozen=True)
class Family:
    """The settings of one way of clipping, rising."""

    name: str
    settings: Sequence[Setting]

    @property
    def best(self) -> Setting:
        """Of the highest mean gain."""
        return max(self.settings, key=lambda one: one.gain.mean)

    @property
    def worst(self) -> Setting:
        """Of the lowest mean gain."""
        return min(self.settings, key=lambda one: one.gain.mean)

    @property
    def cost(self) -> OverSeeds:
        """Best minus worst in dB, seed by seed; without values where only one setting was tried."""
        if len(self.settings) < 2:
            return OverSeeds({})
        return self.best.gain.minus(self.worst.gain)

    @property
    def guess(self) -> float:
        """The mean gain over all settings in dB: what one taken blindly gives."""
        return fmean(one.gain.mean for one in self.settings)

    @property
    def runs(self) -> int:
        """How many were trained."""
        return sum(len(one.gain.values) for one in self.settings)

    @property
    def below_none(self) -> int:
        """Settings that did worse than no clipping in the mean."""
        return sum(one.over_none.mean < 0 for one in self.settings)


@dataclass(frozen=True)
class Strategies:
    """One task: a corpus, a loss and a model."""

    loss: str
    origin: Origin
    settings: Sequence[Setting]

    @cached_property
    def families(self) -> list[Family]:
        """In the order of their first setting."""
        names = dict.fromkeys(one.clipping.family for one in self.settings)
        return [
            Family(name, [one for one in self.settings if one.clipping.family == name])
            for name in names
        ]

    @property
    def none(self) -> OverSeeds:
        """No clipping's gain in dB; without values where it wasn't run."""
        gains = [one.gain for one in self.settings if one.clipping.family == NO_CLIPPING]
        return gains[0] if gains else OverSeeds({})


def strategies(found: Sequence[RunFound]) -> Strategies:
    """The numbers of evaluated runs of one task, at least one."""
    members = by_clipping(found)
    gains = {
        one: over_seeds(runs, lambda run: run.score()["si_sdr_improvement_mean"])
        for one, runs in members.items()
    }
    none = gains.get(Clipping(NO_CLIPPING), OverSeeds({}))
    settings = [
        Setting(one, gains[one], gains[one].minus(none), over_seeds(runs, share))
        for one, runs in members.items() if gains[one].values
    ]  # fmt: skip
    return Strategies(found[0].group[1], origin(found), settings)
