"""Branches beside their trunk: what changed from the step on at which they left it.

Loss, gradient norm, threshold and step size of the trunk, a broad line, and of up to three of its
branches at one step. Until then they are one run; where a branch's settings change nothing, its
line stays on the trunk's.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer, style
from autoclip_sep.figures.runs import RunFound, frame
from autoclip_sep.runs import run_directory

MOST = len(style.SERIES) - 1  # branches of a picture
AFTER = 120  # recorded steps that are shown after the branches leave, at most; before, a third
PANELS = {
    "loss": "Loss",
    "grad_norm": "Gradient norm",
    "threshold": "Threshold",
    "step_norm": "Step size",
}
MOST_NAMED = 3  # settings of a label
# Settings that a label doesn't name: the clipping does, or they change no number.
UNNAMED = ("clipping.", "percentile", "branch_from", "step", "init_", "data.", "logger.", "runs",
           "force", "trainer.")  # fmt: skip


def trunk_of(run: RunFound) -> Path | None:
    """The directory of the run that a branch left; None for a run that is no branch."""
    origin = run.config.get("branch_from")
    if not isinstance(origin, str):
        return None
    return Path(os.path.normpath(run.directory.parents[4] / origin))


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """branches_<trunk>_step<k> for each step at which a trunk has branches; a line for each."""
    groups: dict[tuple[Path, int], list[RunFound]] = {}
    for run in runs["run"]:
        if trunk := trunk_of(run):
            groups.setdefault((trunk, int(run.config["step"])), []).append(run)
    lines = []
    for (directory, step), found in groups.items():
        if not (directory / "dynamics.csv").is_file():
            lines.append(f"not drawn: {found[0].directory}: its trunk isn't at {directory}")
            continue
        several = [found[start : start + MOST] for start in range(0, len(found), MOST)]
        for number, some in enumerate(several, start=1):
            name = "_".join(["branches", *directory.parts[-5:], f"step{step}"])
            stem = output / (f"{name}_{number}" if len(several) > 1 else name)
            try:
                lines.append(draw(RunFound(directory), some, step, stem))
            except InputError as error:
                lines.append(f"not drawn: {error}")
    return lines or ["not drawn: branches beside their trunk: no run is a branch"]


def draw(trunk: RunFound, branches: Sequence[RunFound], step: int, stem: Path) -> str:
    """Draw to <stem>.png and <stem>.pdf; a line of it. branches: up to three that left at `step`.

    Raises InputError where a run has no rows to draw.
    """
    rows = [_rows(run) for run in (trunk, *branches)]
    first, last = _window(rows[0]["step"], [one["step"] for one in rows[1:]], step)
    begins = [first, *[step] * len(branches)]
    shown = [one[one["step"].between(begin, last)] for one, begin in zip(rows, begins, strict=True)]
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplot_mosaic(
        [["names", "names"], ["loss", "grad_norm"], ["step_norm", "threshold"]],
        height_ratios=(0.06, 1, 1),
    )
    labels = [f"trunk: {trunk.clipping}", *(_label(run, trunk) for run in branches)]
    for place, title in PANELS.items():
        _panel(axes[place], place, shown, step)
        axes[place].set_title(title, fontsize=10)
        axes[place].set_xlim(first, last)
    if axes["threshold"].get_yscale() == "log":  # on the scale of the norms that it is for
        axes["threshold"].sharey(axes["grad_norm"])
        axes["threshold"].autoscale(axis="y")
    handles = [
        Line2D([], [], color=colour, label=label, **_look(number))
        for number, (colour, label) in enumerate(zip(style.SERIES, labels, strict=False))
    ]
    style.legend_alone(axes["names"], handles)
    text = footer.line(frame([trunk, *branches]))
    notes = [f"Dotted: step {step:,}, from which on they differ", text]
    style.finish(
        figure, f"{style.loss_name(trunk.group[1])}: branches at step {step:,}", notes, stem
    )
    return f"{stem}.png  {'; '.join(labels)}"


def _rows(run: RunFound) -> DataFrame:
    return DataFrame({name: run.dynamics[name] for name in ("step", *PANELS)})


def _window(trunk: pd.Series, branches: Sequence[pd.Series], step: int) -> tuple[float, float]:
    """First and last step that are shown."""
    recorded = pd.concat(branches)
    recorded = recorded[recorded > step]
    if recorded.empty:
        raise InputError(f"branches at step {step}: nothing is recorded after it yet")
    spacing = min(one.diff().min() for one in (trunk, *branches) if len(one) > 1)
    after = min(recorded.max() - step, AFTER * spacing)
    return step - max(after / 3, spacing), step + after


def _panel(axes: Axes, column: str, runs: Sequence[DataFrame], step: int) -> None:
    values = np.concatenate([one[column].to_numpy() for one in runs])
    positive = values[np.isfinite(values) & (values > 0)]
    wide = len(positive) > 0 and positive.max() > 20 * positive.min()
    logarithmic = column != "loss" or (wide and not (values <= 0).any())
    for number, (one, colour) in enumerate(zip(runs, style.SERIES, strict=False)):
        drawn = one[column].where(np.isfinite(one[column]))
        drawn = drawn.where(drawn > 0) if logarithmic else drawn
        held = "steps-pre" if column == "threshold" else "default"  # it changes at once
        axes.plot(one["step"], drawn, color=colour, drawstyle=held, **_look(number))
    axes.axvline(step, color="black", linestyle=":", linewidth=1)
    if len(positive) == 0 and logarithmic:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=style.SMALL_PRINT)
    elif logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("Iteration", fontsize=9)
    if column == "step_norm":
        axes.set_ylabel(style.STEP_SIZE, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    style.over_iterations(axes)


def _look(number: int) -> dict[str, Any]:
    """Of the trunk's line, below and broader, and of the branches'."""
    if number == 0:
        return {"linewidth": 4, "alpha": 0.4, "solid_capstyle": "butt"}
    return {"linewidth": 1.3, "alpha": 1}


def _label(run: RunFound, trunk: RunFound) -> str:
    """The clipping where it differs from the trunk's, and the first other settings that do."""
    own, before = (run_directory.flatten(one.config) for one in (run, trunk))
    parts = [] if run.clipping == trunk.clipping else [run.clipping]
    keys = [
        key
        for key in run_directory.differences(trunk.config, run.config)
        if not key.startswith(UNNAMED)
    ]
    for key in [key for key in keys if key.endswith("._target_")]:  # another class, its settings
        group = key.removesuffix("_target_")
        parts.append(str(own.get(key)).rpartition(".")[2])
        keys = [one for one in keys if not one.startswith(group) or one == f"{group}lr"]
    parts += [f"{key}={own.get(key)}" for key in keys if own.get(key) != before.get(key)]
    return ", ".join(parts[:MOST_NAMED] + ["..."] * (len(parts) > MOST_NAMED)) or "unchanged"
