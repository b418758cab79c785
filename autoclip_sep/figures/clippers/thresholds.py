"""AutoClip's thresholds over training: a panel for each percentile, its run's norms as a cloud."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer, style
from autoclip_sep.figures.over_seeds import mean
from autoclip_sep.figures.record_files import Series
from autoclip_sep.figures.runs import GROUP, RunFound, grouped

LEFT_ALONE, CLIPPED = "#A9B1B8", "#D98E04"  # of the cloud
MOST_COLUMNS = 5


def draw(
    clippings: Mapping[str, Sequence[RunFound]], title: str, notes: Sequence[str], stem: Path
) -> dict[str, float]:
    """Draw to <stem>.png and <stem>.pdf; returns the shares of clipped steps in [0, 1].

    clippings: runs by name, those of one in the order of their seeds. notes: of the footer.
    Raises InputError where a first seed has no norm that a logarithmic axis can show.
    """
    rows = math.ceil(len(clippings) / MOST_COLUMNS)
    columns = math.ceil(len(clippings) / rows)
    figure = Figure(figsize=(max(2.5 * columns, 7.2), 2.5 * rows + 1.2), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    shares = {}
    for axes, (name, runs) in zip(grid.flat, clippings.items(), strict=False):
        shares[name] = mean(pd.Series([run.clipped_share for run in runs]))
        _draw_clipping(axes, runs)
        clipped = f", {shares[name]:.1%} clipped" if math.isfinite(shares[name]) else ""
        axes.set_title(f"{name}{clipped}", fontsize=10)
    for axes in grid.flat[len(clippings) :]:
        axes.set_visible(False)
    for number in range(len(clippings)):
        if number + columns >= len(clippings):
            grid.flat[number].set_xlabel("Iteration", fontsize=9)
            grid.flat[number].tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("gradient norm", fontsize=9)
    figure.legend(handles=_legend(), loc="outside upper center", ncols=3, frameon=False,
                  fontsize=9, title=title,
                  title_fontproperties={"size": 13, "weight": "bold"})  # fmt: skip
    several = any(len(runs) > 1 for runs in clippings.values())
    style.footer(figure, style.BETWEEN.join([
        *["Dots and strong lines: the lowest seed", "Faint lines: other seeds"] * several,
        "Dots: recorded steps", *notes,
    ]))  # fmt: skip
    style.save(figure, stem)
    return shares


def _draw_clipping(axes: Axes, runs: Sequence[RunFound]) -> None:
    """The cloud of the first run's norms, and the thresholds of all."""
    first, *others = runs
    names = ("step", "grad_norm", "threshold", "scale")
    rows = DataFrame({name: first.dynamics[name] for name in names})
    seen = rows[np.isfinite(rows["grad_norm"]) & (rows["grad_norm"] > 0)]
    if seen.empty:
        raise InputError(f"{first.directory}: no gradient norm above 0 to draw")
    size = float(np.clip(130 / math.sqrt(len(seen)), 1.5, 8))
    clipped = seen["scale"] < 1
    for dots, colour in ((seen[~clipped], LEFT_ALONE), (seen[clipped], CLIPPED)):
        axes.plot(dots["step"], dots["grad_norm"], linestyle="none", marker=".", color=colour,
                  markeredgewidth=0, markersize=size, alpha=0.6, rasterized=True)  # fmt: skip
    for other in others:
        axes.plot(other.dynamics["step"], _finite(other.dynamics["threshold"]), color=style.WITH,
                  linewidth=0.9, alpha=0.45)  # fmt: skip
    threshold = _finite(seen["threshold"].to_numpy())
    axes.plot(seen["step"], threshold, color="white", linewidth=3.2)
    axes.plot(seen["step"], threshold, color=style.WITH, linewidth=1.7)
    axes.set(yscale="log")
    axes.tick_params(which="both", labelsize=8)
    style.over_iterations(axes)


def _finite(values: Series) -> Series:
    return np.where(np.isfinite(values), values, math.nan)


def _legend() -> list[Line2D]:
    dots = [
        Line2D([], [], color=colour, linestyle="none", marker="o", markersize=5, markeredgewidth=0,
               label=label)
        for label, colour in (("norm, left alone", LEFT_ALONE), ("norm, clipped", CLIPPED))
    ]  # fmt: skip
    return [*dots, Line2D([], [], color=style.WITH, linewidth=1.7, label="threshold")]


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """thresholds_<corpus>_<loss>_<model> for each that has a run with p below 100.

    Runs need not be finished, but have an epoch.
    """
    kept, lines = runs[(runs["epochs"] > 0) & runs["percentile"].notna()], []
    for group, members in grouped(kept, GROUP).items():
        if members["percentile"].min() == 100:
            continue
        once = members.drop_duplicates(["percentile", "seed"]).sort_values(["percentile", "seed"])
        clippings = {f"p = {p:g}": [*same] for p, same in once.groupby("percentile")["run"]}
        title = f"Thresholds over training: {style.loss_name(group[1])}"
        stem = output / "_".join(["thresholds", *group])
        try:
            shares = draw(clippings, title, ["Shares: of all steps", footer.line(members)], stem)
        except InputError as error:
            lines.append(f"not drawn: {error}")
            continue
        clipped = [f"{share:.1%} at {name}" for name, share in shares.items()]
        lines.append(f"{stem}.png  clipped {', '.join(clipped)}")
    return lines or ["not drawn: thresholds over training: no run of AutoClip with p < 100"]


def draw_records(files: Sequence[RunFound], text: str, output: Path) -> str:
    """The same of any loop's records, as <output>/thresholds; a line of it."""
    clippings = {file.clipping: [file] for file in files}
    notes = ["Shares: of the recorded steps", text]
    draw(clippings, "Thresholds over training", notes, output / "thresholds")
    return f"{output / 'thresholds'}.png"
