"""What ALRC changes in the supersampling experiment, setting by setting, as a table."""

import math
from collections.abc import Sequence

import pandas as pd
from runs import WITH, WITHOUT

OPTIMIZERS = {"adam": "Adam", "momentum": "momentum SGD", "rmsprop": "RMSProp"}
SETTING = ["error", "rate", "optimizer", "batch_size", "lr"]
RISING = [False, False, True, True, True]  # squared before quartic errors, stable before high rates


def rows(runs: pd.DataFrame) -> list[dict[str, str]]:
    """A row for every setting that was run without and with ALRC, as text by column.

    final error: of the last boxcar, the median of the seeds (least to most). highest: the median.
    spikes, clipped: means.
    """
    found = []
    ordered = runs.sort_values(SETTING, ascending=RISING, kind="stable")
    for (error, rate, optimizer, batch_size, lr), group in ordered.groupby(SETTING, sort=False):
        none, alrc = (group[group["clipping"] == label] for label in (WITHOUT, WITH))
        if none.empty or alrc.empty:
            continue
        found.append({
            "error": error,
            "optimizer": OPTIMIZERS.get(optimizer, optimizer),
            "learning rate": f"{rate}, {lr:g}",
            "batch": str(batch_size),
            "final error, none": _final(none),
            "final error, ALRC": _final(alrc),
            "highest, none": _number(none["highest"].median()),
            "highest, ALRC": _number(alrc["highest"].median()),
            "spikes, none": f"{none['spikes'].mean():.1f}",
            "spikes, ALRC": f"{alrc['spikes'].mean():.1f}",
            "clipped": f"{alrc['clipped_share'].mean():.1%}",
        })  # fmt: skip
    return found


def markdown(found: Sequence[dict[str, str]]) -> str:
    """The table of at least one row for a README, numbers on the right."""
    names = list(found[0])
    lines = [f"| {' | '.join(cells)} |" for cells in (names, *(row.values() for row in found))]
    lines.insert(1, "|" + "---|" * 3 + "--:|" * (len(names) - 3))
    return "\n".join(lines) + "\n"


def _final(seeds: pd.DataFrame) -> str:
    """Median (least to most) of the seeds of one setting."""
    if seeds["diverged"].all():
        return "all diverged"
    final = seeds["final"]
    text = _number(final.median())
    if len(final) > 1:
        text += f" ({_number(final.min())} to {_number(final.max())})"
    return text


def _number(value: float) -> str:
    """nan is of runs that are too short for a curve."""
    return "diverged" if math.isinf(value) else f"{value:.2g}"
