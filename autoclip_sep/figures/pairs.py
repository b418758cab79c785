"""The two runs that the paper's figures compare: without clipping and with AutoClip, p = 10."""

from collections.abc import Sequence

from autoclip_sep.figures.runs_found import RunFound

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
