"""What each clipping gains on one task, and what it costs to tune: the numbers.

Gain: SI-SDR improvement on the test set. Cost: within a family (one way of clipping, several
settings) how far the worst setting lies below the best, which is the most that a guess can lose,
and how many runs it took to know. p = 100 counts as no clipping.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pandas import DataFrame, Series

from autoclip_sep.figures.clipping_methods import NO_CLIPPING
from autoclip_sep.figures.over_seeds import by_seed, mean, sd


@dataclass(frozen=True)
class Strategies:
    """The numbers of evaluated runs of one task, at least one: a corpus, a loss and a model."""

    runs: DataFrame

    @property
    def loss(self) -> str:
        """By name."""
        return str(self.runs["loss"].iloc[0])

    @cached_property
    def gains(self) -> DataFrame:
        """SI-SDR improvement in dB: a row for each seed, a column for each strategy."""
        return by_seed(self.runs, "strategy", "si_sdr_improvement").dropna(axis=1, how="all")

    @property
    def none(self) -> Series:
        """No clipping's gain in dB by seed; NaN where it wasn't run."""
        return self.gains.get(NO_CLIPPING, Series(math.nan, self.gains.index))

    @property
    def over_none(self) -> DataFrame:
        """The same minus no clipping's of the same seed."""
        return self.gains.sub(self.none, axis=0)

    @cached_property
    def settings(self) -> DataFrame:
        """A row for each strategy, as in the CSV: means over seeds, their spreads, and tuned.

        over_no_clipping: the improvement minus no clipping's of the same seed, both in dB.
        clipped_share: of all steps in [0, 1].
        """
        about = self.runs.drop_duplicates("strategy").astype({"strategy": str})
        about = about.set_index("strategy")[["tuned", "family", "setting"]]
        return about.loc[list(self.gains)].assign(
            si_sdr_improvement=self.gains.agg(mean),
            spread=self.gains.agg(sd),
            seeds=self.gains.count(),
            over_no_clipping=self.over_none.agg(mean),
            over_no_clipping_spread=self.over_none.agg(sd),
            clipped_share=by_seed(self.runs, "strategy", "clipped_share").agg(mean),
        )

    @cached_property
    def families(self) -> DataFrame:
        """A row for each way of clipping, none aside.

        settings, tuned: how many, and from which to which. best, worst: the strategies of the
        highest and lowest mean gain. cost: best minus worst, mean and sd of the differences seed by
        seed in dB, NaN where only one setting was tried. guess: the mean gain over all settings in
        dB, which is what one taken blindly gives. runs: how many were trained. below_none: settings
        that did worse than no clipping in the mean.
        """
        rows: dict[str, dict[str, Any]] = {}
        for family, tried in self.settings.groupby("family", sort=False):
            means = tried["si_sdr_improvement"]
            best, worst = means.idxmax(), means.idxmin()
            cost = self.gains[best] - self.gains[worst]
            known, ends = len(tried) > 1, tried["tuned"].dropna()
            rows[str(family)] = {
                "settings": len(tried), "tuned": list(dict.fromkeys([*ends[:1], *ends[-1:]])),
                "best": best, "worst": worst,
                "cost": mean(cost) if known else math.nan,
                "cost_sd": sd(cost) if known else math.nan,
                "guess": mean(means), "runs": tried["seeds"].sum(),
                "below_none": (tried["over_no_clipping"] < 0).sum(),
            }  # fmt: skip
        return DataFrame(rows.values(), index=list(rows)).drop(NO_CLIPPING, errors="ignore")
