"""Figure 1 of the AutoClip paper: step size, loss, and smoothness against gradient norm."""

import math
from collections.abc import Callable

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures.run_dynamics import RunDynamics, dynamics
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.figures.smoothing import running_median
from autoclip_sep.report.plots import (
    MOST_POINTS,
    Trace,
    curve,
    decimal,
    layout,
    limits,
    log_ticks,
    numbers,
)
from autoclip_sep.report.section import Part, Plot, Section, Text
from autoclip_sep.report.sides import Reported, Side

VARIES = "In the second half of training the step size varies by"


def section(reported: Reported) -> Section:
    """Of each side's first run."""
    parts: list[Part] = [
        _curves(reported, "Step size", "step_norm", "‖θₜ − θₜ₋₁‖₂", f"{VARIES} ", _variation),
        _curves(reported, "Training loss", "loss", "Loss of the batch", "", _fall, log=True),
    ]
    known: list[tuple[Side, RunDynamics]] = []
    for side in reported.sides:
        try:
            known.append((side, dynamics(side.first)))
        except InputError:
            parts.append(Text(f"{side.name}: too few steps with a recorded smoothness."))
    parts += _densities(known)
    if not known:
        sizes = reported.told(lambda side: _variation(side.first))
        return Section("Training dynamics", f"{VARIES} {sizes}.", parts)
    rs = {side.key: one.r for side, one in known}
    answer = reported.told(lambda side: f"r = {decimal(rs.get(side.key, math.nan))}")
    strength = _strength(min((abs(r) for r in rs.values() if math.isfinite(r)), default=0))
    return Section(
        "Training dynamics", f"Smoothness follows the gradient norm {strength}: {answer}.", parts
    )  # fmt: skip


def _curves(
    reported: Reported,
    title: str,
    column: str,
    unit: str,
    begins: str,
    answer: Callable[[RunFound], str],
    log: bool = False,
) -> Plot:
    """A column against the iterations, thin, and its running median, thick."""
    data: list[Trace] = []
    hover = "iteration %{x}<br>median %{y}<extra></extra>"
    for side in reported.sides:
        steps, values = side.first.dynamics["step"], side.first.dynamics[column]
        median = running_median(values, max(11, len(values) // 20) | 1)
        data += [
            curve(steps, values, side.name, f"{side.colour}-faint", width=1, showlegend=False,
                  hoverinfo="skip"),
            curve(steps, median, side.name, side.colour, width=2.5, hovertemplate=hover),
        ]  # fmt: skip
    words = f"{begins}{reported.told(lambda side: answer(side.first))}"
    kind = "log" if log and _positive(reported, column) else "linear"
    axes = layout("Iteration", unit, y_type=kind, showlegend=reported.compared)
    caption = "Thin: recorded; thick: running median."
    return Plot(title, f"{words[0].upper()}{words[1:]}.", data, axes, caption, beside=True)


def _positive(reported: Reported, column: str) -> bool:
    return all((side.first.dynamics[column] > 0).all() for side in reported.sides)


def _variation(run: RunFound) -> str:
    return f"{100 * run.step_variation:.0f} %"


def _fall(run: RunFound) -> str:
    values = run.dynamics["loss"]
    tenth = max(1, len(values) // 10)
    before, after = np.median(values[:tenth]), np.median(values[-tenth:])
    return f"from {before:.3g} to {after:.3g}"


def _strength(r: float) -> str:
    return "closely" if r > 0.7 else "loosely" if r > 0.3 else "hardly"


def _densities(known: list[tuple[Side, RunDynamics]]) -> list[Plot]:
    """A plot for each side on the same axes."""
    if not known:
        return []
    x, y = (limits([one.probed[key] for _, one in known]) for key in ("norm", "smoothness"))
    return [_density(side, one, x, y) for side, one in known]


def _density(side: Side, one: RunDynamics, x: list[float], y: list[float]) -> Plot:
    """A point for each step. x, y: the ends of the axes, as powers of ten."""
    every = -(-len(one.probed) // MOST_POINTS)
    some = one.probed.iloc[::every]
    hover = "iteration %{customdata}<br>norm %{x}<br>smoothness %{y}<extra></extra>"
    data: list[Trace] = [{
        "type": "scatter", "mode": "markers", "hovertemplate": hover,
        "x": numbers(10 ** some["norm"]), "y": numbers(10 ** some["smoothness"]),
        "customdata": some["step"].astype(int).tolist(),
        "marker": {"size": 5, "opacity": 0.5, "color": side.colour},
    }]  # fmt: skip
    notes = [f"One in {every} steps is shown; r is of all."] if every > 1 else []
    threshold = 10**one.threshold
    if math.isfinite(threshold):
        ends = 10 ** np.array(y)
        data.append(curve(np.full(2, threshold), ends, "", "@ink", width=1, dash="dot",
                          hoverinfo="skip"))  # fmt: skip
        notes.append(f"Dotted: the last threshold, {threshold:.2g}.")
    ticks = {f"{name}_{key}": value for name, ends in (("x", x), ("y", y))
             for key, value in log_ticks(ends).items()}  # fmt: skip
    axes = layout("Gradient norm", "Smoothness", x_type="log", y_type="log", x_range=x, y_range=y,
                  showlegend=False, **ticks)  # fmt: skip
    title = f"Smoothness and gradient norm: {side.name}"
    return Plot(title, f"r = {decimal(one.r)}.", data, axes, " ".join(notes), beside=True)
