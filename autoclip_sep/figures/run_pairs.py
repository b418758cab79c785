"""The two runs that the paper's figures compare: without clipping and with AutoClip, p = 10."""

from collections.abc import Callable
from pathlib import Path

from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import GROUP

NONE_FOUND = "no two runs with p = 10 and p = 100 (or clipping=none) of the same settings and seed"


def pairs(runs: DataFrame) -> list[DataFrame]:
    """For each corpus, loss and model two rows: the run with p = 100 (or none), that with p = 10.

    Both have the same seed, the lowest that has both.
    """
    keys = [*GROUP, "seed"]
    places = runs.rename_axis(index="place").reset_index()[[*keys, "percentile", "place"]]
    without, clipped = (places[places["percentile"] == p] for p in (100, 10))
    both = without.drop_duplicates(keys).merge(clipped, on=keys, suffixes=("", "_clipped"))
    chosen = both.sort_values(keys).drop_duplicates(GROUP)
    return [runs.loc[[*pair]] for pair in chosen[["place", "place_clipped"]].to_numpy()]


def draw_each(runs: DataFrame, draw: Callable[[DataFrame, Path], str], stem: Path) -> list[str]:
    """Call draw(pair, stem of its own) for every pair of runs.

    Returns a line for each: what `draw` returns, or why it couldn't.
    """
    lines = []
    for pair in pairs(runs):
        try:
            lines.append(draw(pair, stem.with_name("_".join([stem.name, *pair[GROUP].iloc[0]]))))
        except InputError as error:
            lines.append(f"not drawn: {error}")
    return lines or [f"not drawn: {stem.name}, {NONE_FOUND}"]
