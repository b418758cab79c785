"""A comparison in words: what is compared, a line for each quantity, and the verdict."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from autoclip_sep.figures.comparison.curves import Curve
from autoclip_sep.figures.comparison.records import RecordedRun, first_difference
from autoclip_sep.runs import run_directory

MADE_WITH = ("corpus", "commit", "version", "torch", "python", "device", "threads")
MISSING = "unknown"  # e.g. a setting, in a config of older code


def heading(
    run: RecordedRun, references: Sequence[RecordedRun], is_compared: Callable[[str], bool]
) -> list[str]:
    """Run, references, and what differs in settings, corpus, versions and device.

    is_compared: whether a setting is one to compare.
    """
    runs = [run, *references]
    status = run_directory.read_state(run.directory).get("status", "kept")
    configs = [run_directory.flatten(one.config) for one in runs]
    keys = filter(is_compared, sorted(set().union(*configs)))
    made_with = [{"corpus": one.provenance.get("fingerprint", MISSING)[:8], **one.provenance}
                 for one in runs]  # fmt: skip
    settings = _differences(configs, keys) or ["the same"]
    origins = _differences(made_with, MADE_WITH) or [f"the same {', '.join(MADE_WITH)}"]
    return [
        f"run        {run.directory}: {status}, to step {run.last_step:,}",
        *(f"reference  {one.directory}: to step {one.last_step:,}" for one in references),
        *(f"settings   {line}" for line in settings),
        *(f"made with  {line}" for line in origins),
    ]


def _differences(runs: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    """A line for each value that the first run doesn't share with all others."""
    lines = []
    for key in keys:
        value, *others = [one.get(key, MISSING) for one in runs]
        if any(other != value for other in others):
            lines.append(f"{key}: {value}, reference {', '.join(sorted(set(map(str, others))))}")
    return lines


def table(curves: Sequence[Curve]) -> str:
    """A line for each quantity: where the run leaves the range, and the last running medians."""
    columns = ["leaves at step", "from there on", "run, at the end", "reference", "range"]
    rows = {curve.quantity.name: _row(curve) for curve in curves}
    return DataFrame.from_dict(rows, orient="index", columns=columns).to_string()


def _row(curve: Curve) -> list[str]:
    left, away = "-", ""
    if len(curve.table) < curve.hold:
        left = f"{len(curve.table)} of {curve.hold} records"
    elif math.isfinite(curve.left):
        back = f" to {curve.back:,.0f}" if math.isfinite(curve.back) else ""
        left, away = f"{curve.left:,.0f}{back}", _away(curve)
    ends = curve.table.iloc[-1]
    run, reference, low, high = (
        _value(curve, ends[column]) for column in ("run", "reference", "low", "high")
    )
    return [left, away, run, reference, f"{low} .. {high}"]


def _value(curve: Curve, value: float) -> str:
    if not math.isfinite(value):
        return "non-finite"
    return f"{value:.3g}" if curve.quantity.log else f"{value:.2f}{curve.quantity.unit}"


def _away(curve: Curve) -> str:
    away = _value(curve, abs(curve.away))
    if not math.isfinite(curve.away):
        return away
    if curve.quantity.log:
        return f"{away} times the reference"
    return f"{away} {'above' if curve.away > 0 else 'below'} the reference"


def verdict(curves: Sequence[Curve], run: RecordedRun, references: Sequence[RecordedRun]) -> str:
    """Whether the run follows, or where it leaves first."""
    whose = "the reference" if len(references) == 1 else f"the {len(references)} references"
    judged = [curve for curve in curves if len(curve.table) >= curve.hold]
    if not judged:
        longest = max(curves, key=lambda curve: len(curve.table) / curve.hold)
        return f"too early to tell: {len(longest.table)} of {longest.hold} records"
    first = min(judged, key=lambda curve: curve.left)
    if math.isfinite(first.left):
        what = f"the {first.quantity.name} is {_away(first)}"
        return f"leaves {whose} at step {first.left:,.0f}: {what}"
    last = max(curve.table.index[-1] for curve in curves)
    early = " so far" if run.last_step < min(one.last_step for one in references) else ""
    return f"follows {whose}{early}, to step {last:,.0f}, in {len(judged)} quantities"


def bits(run: RecordedRun, references: Sequence[RecordedRun]) -> tuple[str, list[str]]:
    """The verdict where a reference has the same records as far as both go, or "".

    Also gives a line for each reference with the run's seed: where their records begin to differ.
    """
    lines = []
    for one in references:
        step, name = first_difference(run, one), one.directory.resolve().name
        if step is None:
            digits = one.digits or run.digits
            but = f" (dynamics.csv in the {digits} digits that were kept)" if digits else ""
            last = f"to step {min(run.last_step, one.last_step):,}"
            return f"bit-identical to {name} in all shared records{but}, {last}", []
        if one.config.get("seed") == run.config.get("seed"):
            lines.append(f"{name} has the same seed: other bits from step {step:,.0f} on")
    return "", lines
