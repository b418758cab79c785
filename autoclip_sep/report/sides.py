"""What is reported: a run, or a group of runs that differ in their seed, or two of either."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame, Series

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.names import shown
from autoclip_sep.runs import scores, sources
from autoclip_sep.runs.score_groups import Group, alike, gather

KEYS = ("a", "b")
GAIN = "si_sdr_improvement"


@dataclass(frozen=True)
class Side:
    """Runs that differ in their seed alone, or one; or a folder of scores that is no run.

    key: "a" or "b", which gives it its colour. name: as legends and tables call it.
    """

    key: str
    name: str
    runs: Sequence[RunFound]
    split: str = "test"

    @property
    def text(self) -> str:
        """The name inside a sentence."""
        return "no clipping" if self.name == "No clipping" else self.name

    @property
    def colour(self) -> str:
        """Its name in page.css."""
        return f"@{self.key}"

    @property
    def first(self) -> RunFound:
        """The run that stands for the others where one is shown."""
        return self.runs[0]

    @cached_property
    def scores(self) -> Group:
        """SI-SDR improvement [dB] by item and source, a column for each run.

        Raises InputError where there are no scores of single items, or not of the same.
        """
        return gather([run.directory for run in self.runs], GAIN, self.split)

    @cached_property
    def improvement(self) -> DataFrame:
        """The same as a table; NaN where undefined or infinite."""
        return self.scores.table.where(np.isfinite(self.scores.table))

    @cached_property
    def si_sdr(self) -> DataFrame:
        """SI-SDR itself [dB], likewise."""
        table = gather([run.directory for run in self.runs], "si_sdr", self.split).table
        return table.where(np.isfinite(table))

    @cached_property
    def by_item(self) -> Series:
        """Improvement by item, the mean over sources and runs [dB], of those that have one."""
        return self.improvement.mean(axis=1).groupby(level="item", sort=False).mean().dropna()

    @cached_property
    def heard(self) -> Series:
        """The same of the first run alone."""
        return self.improvement.iloc[:, 0].groupby(level="item", sort=False).mean().dropna()

    def bounds(self) -> dict[str, DataFrame]:
        """Tables of ideal masks' scores on the same items, by their names, of the first run.

        Those of another corpus are left out: the run may have been evaluated on both.
        """
        found = {}
        for folder in sorted((self.first.directory / "evaluation" / "bounds").glob("*")):
            path = scores.tables(folder, self.split).get("si_sdr")
            corpora = self.scores.corpora
            if path and (not corpora or scores.corpus(path) in {"", *corpora}):
                table = scores.read(path)
                found[sources.bound_title(shown(folder.name))] = table.where(np.isfinite(table))
        return found

    @property
    def bound(self) -> str | None:
        """The best ideal mask of the kind that the runs separate by; None where there is none."""
        if not (self.first.directory / "config.yaml").is_file():
            return None
        name = sources.bound(self.first.config)
        return name and sources.bound_title(name)


@dataclass(frozen=True)
class Reported:
    """One side, or two."""

    sides: Sequence[Side]
    split: str = "test"

    @property
    def compared(self) -> bool:
        """Whether there are two sides."""
        return len(self.sides) == 2

    @property
    def title(self) -> str:
        """The page's name."""
        first, *others = self.sides
        return " against ".join([first.name, *(side.text for side in others)])

    @cached_property
    def subject(self) -> str:
        """Corpus, loss, network and seeds."""
        configs = [config for side in self.sides for run in side.runs if (config := _config(run))]
        parts = [
            " and ".join(dict.fromkeys(_words(config[key]["name"]) for config in configs))
            for key in ("data", "loss", "model")
            if configs and all("name" in config.get(key, {}) for config in configs)
        ]
        seeds = dict.fromkeys(text for side in self.sides if (text := _seeds(side)))
        return " · ".join(filter(None, [*parts, " against ".join(seeds), f"split {self.split}"]))

    def told(self, words: Callable[[Side], str]) -> str:
        """What is to be said of each side, as a part of a sentence."""
        if not self.compared:
            return words(self.sides[0])
        return ", ".join(f"{words(side)} with {side.text}" for side in self.sides)

    def check_alike(self) -> None:
        """Raises InputError where two sides are scored on other items or corpora."""
        if self.compared:
            alike(*(side.scores for side in self.sides))


def reported(groups: Sequence[Sequence[Path]], split: str = "test") -> Reported:
    """One or two groups of run directories, with names that tell them apart."""
    runs = [[RunFound(path.resolve()) for path in group] for group in groups]
    names = [_name(group) for group in runs]
    if len(set(names)) < len(names):
        for key in ("loss", "model", "data"):
            own = [_words(_config(group[0]).get(key, {}).get("name", "")) for group in runs]
            if len(set(own)) == len(own):
                names = [f"{one}, {name}" for one, name in zip(own, names, strict=True)]
                break
        else:
            names = [f"{name} ({key.upper()})" for name, key in zip(names, KEYS, strict=False)]
    sides = [Side(*each, split) for each in zip(KEYS, names, runs, strict=False)]
    return Reported(sides, split)


def _config(run: RunFound) -> dict[str, Any]:
    """Empty for a folder that is no run."""
    try:
        return run.config
    except InputError:
        return {}


def _words(name: object) -> str:
    return shown(str(name)).replace("_", " ")


def _name(group: Sequence[RunFound]) -> str:
    if not _config(group[0]):
        return shown(group[0].directory.name)
    return " and ".join(dict.fromkeys(shown(run.clipping).replace(", p", " p") for run in group))


def _seeds(side: Side) -> str:
    numbers = [str(config["seed"]) for run in side.runs if (config := _config(run))]
    return f"seed{'s' * (len(numbers) > 1)} {', '.join(numbers)}" if numbers else ""
