"""The two runs that the paper's figures compare: without clipping and with AutoClip, p = 10."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound

Pair = tuple[RunFound, RunFound]
Group = tuple[str, str, str]

NONE_FOUND = "no two runs with p = 10 and p = 100 (or clipping=none) of the same settings and seed"


def pairs(found: Sequence[RunFound]) -> dict[Group, Pair]:
    """For each corpus, loss and model: the run with p = 100 (or none) and the one with p = 10.

    Both have the same seed, the lowest that has both.
    """
    chosen: dict[Group, Pair] = {}
    for run in sorted(found, key=lambda run: (run.config["seed"], run.group)):
        same = [other for other in found if other.group == run.group
                and other.config["seed"] == run.config["seed"]]  # fmt: skip
        without = [other for other in same if other.percentile == 100]
        if run.percentile == 10 and without:
            chosen.setdefault(run.group, (without[0], run))
    return dict(sorted(chosen.items()))


def draw_each(
    found: Sequence[RunFound], draw: Callable[[RunFound, RunFound, Path], str], stem: Path
) -> list[str]:
    """Call draw(without, with_autoclip, stem of its own) for every pair of runs.

    Returns a line for each: what `draw` says, or why it couldn't.
    """
    lines = []
    for group, pair in pairs(found).items():
        try:
            lines.append(draw(*pair, stem.with_name("_".join([stem.name, *group]))))
        except InputError as error:
            lines.append(f"not drawn: {error}")
    return lines or [f"not drawn: {stem.name}, {NONE_FOUND}"]
