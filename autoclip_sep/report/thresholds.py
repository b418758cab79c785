"""Thresholds among the gradient norms, and how often they clipped."""

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.report.plots import curve, layout, limits, log_ticks
from autoclip_sep.report.section import Plot, Section
from autoclip_sep.report.sides import Reported, Side


def section(reported: Reported) -> Section:
    """Norm and threshold of each side's first run, on the same axes.

    Raises InputError where no run was clipped by a threshold of its gradient norm.
    """
    clipped = [side for side in reported.sides if _has_threshold(side)]
    if not clipped:
        raise InputError("no run was clipped by a threshold")
    values = [side.first.dynamics[key] for side in clipped for key in ("grad_norm", "threshold")]
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = limits([np.log10(each) for each in values])
    plots = [_plot(side, shared, len(clipped) > 1) for side in clipped]
    return Section("Thresholds", f"{', '.join(map(_answer, clipped))}.", plots)


def _has_threshold(side: Side) -> bool:
    thresholds = side.first.dynamics["threshold"]
    return side.first.percentile != 100 and bool(np.isfinite(thresholds).any())


def _answer(side: Side) -> str:
    try:
        return f"{side.name} clipped {100 * side.first.clipped_share:.0f} % of the steps"
    except InputError:  # an epoch never ended
        return f"{side.name} clipped"


def _plot(side: Side, shared: list[float], beside: bool) -> Plot:
    records = side.first.dynamics
    steps, norms, thresholds = records["step"], records["grad_norm"], records["threshold"]
    known = thresholds[np.isfinite(thresholds)]
    answer = f"The threshold went from {known[0]:.2g} to {known[-1]:.2g}."
    axes = layout("Iteration", "Gradient norm", y_type="log", y_range=shared,
                  **{f"y_{key}": value for key, value in log_ticks(shared).items()})  # fmt: skip
    data = [
        curve(steps, norms, "gradient norm", f"{side.colour}-faint", width=1),
        curve(steps, thresholds, "threshold", "@ink", width=2),
    ]
    return Plot(side.name, answer, data, axes, beside=beside)
