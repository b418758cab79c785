"""AutoClip's thresholds over training: a panel for each percentile, its run's norms as a cloud."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style
from autoclip_sep.figures.clippers.clipped_shares import share
from autoclip_sep.figures.comparable import OverSeeds, Seeds, by_percentile, epochs_done, over_seeds
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.runs import RunFound, Series

LEFT_ALONE, CLIPPED = "#A9B1B8", "#D98E04"  # of the cloud
MOST_COLUMNS = 5


@dataclass(frozen=True)
class Panel:
    """One clipping, of the same settings but for the seed.

    step, norm, threshold, clipped: (rows,) of the lowest seed, of rows with a norm above 0; a
    threshold that isn't finite is NaN. others: steps and thresholds of the other seeds.
    share: of all steps in [0, 1], those that were clipped.
    """

    name: str
    step: Series
    norm: Series
    threshold: Series
    clipped: np.ndarray
    others: list[tuple[Series, Series]]
    share: OverSeeds


def panel(name: str, members: Seeds, clipped: Callable[[RunFound], float] = share) -> Panel:
    """The numbers of the runs of one clipping, by seed. clipped: the share of a run's steps.

    Raises InputError where the lowest seed has no norm that a logarithmic axis can show.
    """
    first, *others = (members[seed] for seed in sorted(members))
    rows = first.dynamics
    seen = np.isfinite(rows["grad_norm"]) & (rows["grad_norm"] > 0)
    if not seen.any():
        raise InputError(f"{first.directory}: no gradient norm above 0 to draw")
    return Panel(
        name,
        rows["step"][seen],
        rows["grad_norm"][seen],
        _finite(rows["threshold"][seen]),
        rows["scale"][seen] < 1,
        [(run.dynamics["step"], _finite(run.dynamics["threshold"])) for run in others],
        over_seeds(members, clipped),
    )


def _finite(values: Series) -> Series:
    return np.where(np.isfinite(values), values, math.nan)


def draw(found: Sequence[RunFound], stem: Path) -> list[Panel]:
    """Draw the runs of one corpus, loss and model to <stem>.png and <stem>.pdf."""
    panels = [panel(f"p = {p:g}", members) for p, members in by_percentile(found).items()]
    title = f"Thresholds over training: {style.loss_name(found[0].group[1])}"
    draw_panels(panels, title, ["Shares: of all steps", origin(found).line()], stem)
    return panels


def draw_panels(panels: Sequence[Panel], title: str, notes: Sequence[str], stem: Path) -> None:
    """Draw to <stem>.png and <stem>.pdf; notes: of the footer."""
    rows = math.ceil(len(panels) / MOST_COLUMNS)
    columns = math.ceil(len(panels) / rows)
    figure = Figure(figsize=(max(2.5 * columns, 7.2), 2.5 * rows + 1.2), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, one in zip(grid.flat, panels, strict=False):
        _panel(axes, one)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for number in range(len(panels)):
        if number + columns >= len(panels):
            grid.flat[number].set_xlabel("Iteration", fontsize=9)
            grid.flat[number].tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("gradient norm", fontsize=9)
    legend = _legend()
    figure.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=len(legend),
                  frameon=False, fontsize=9, title=title,
                  title_fontproperties={"size": 13, "weight": "bold"})  # fmt: skip
    several = any(one.others for one in panels)
    style.footer(figure, style.BETWEEN.join([
        *["Dots and strong lines: the lowest seed", "Faint lines: other seeds"] * several,
        "Dots: recorded steps", *notes,
    ]))  # fmt: skip
    style.save(figure, stem)


def _panel(axes: Axes, one: Panel) -> None:
    size = float(np.clip(130 / math.sqrt(len(one.norm)), 1.5, 8))
    for mask, colour in ((~one.clipped, LEFT_ALONE), (one.clipped, CLIPPED)):
        axes.plot(one.step[mask], one.norm[mask], linestyle="none", marker=".", color=colour,
                  markeredgewidth=0, markersize=size, alpha=0.6, rasterized=True)  # fmt: skip
    for step, threshold in one.others:
        axes.plot(step, threshold, color=style.WITH, linewidth=0.9, alpha=0.45)
    axes.plot(one.step, one.threshold, color="white", linewidth=3.2)
    axes.plot(one.step, one.threshold, color=style.WITH, linewidth=1.7)
    clipped = f", {one.share.mean:.1%} clipped" if one.share.values else ""
    axes.set_title(f"{one.name}{clipped}", fontsize=10)
    axes.set(yscale="log")
    axes.tick_params(which="both", labelsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.bare(axes)


def _legend() -> dict[str, Line2D]:
    dots = [
        Line2D([], [], color=colour, linestyle="none", marker="o", markersize=5, markeredgewidth=0)
        for colour in (LEFT_ALONE, CLIPPED)
    ]
    line = Line2D([], [], color=style.WITH, linewidth=1.7)
    names = ("norm, left alone", "norm, clipped", "threshold")
    return dict(zip(names, [*dots, line], strict=True))


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """thresholds_<corpus>_<loss>_<model> for each that has a run with p below 100.

    Runs need not be finished, but have an epoch.
    """
    kept = [run for run in found if epochs_done(run)]
    lines = []
    for group in sorted({run.group for run in kept if run.percentile < 100}):
        members = [run for run in kept if run.group == group and math.isfinite(run.percentile)]
        stem = output / "_".join(["thresholds", *group])
        try:
            panels = draw(members, stem)
        except InputError as error:
            lines.append(f"not drawn: {error}")
            continue
        shares = [f"{one.share.mean:.1%} at {one.name}" for one in panels]
        lines.append(f"{stem}.png  clipped {', '.join(shares)}")
    return lines or ["not drawn: thresholds over training: no run of AutoClip with p < 100"]


def draw_records(runs: Sequence[RunFound], footer: str, output: Path) -> str:
    """The same of any loop's records, as <output>/thresholds; a line of it."""
    panels = [panel(run.clipping, {0: run}, _share_of_rows) for run in runs]
    notes = ["Shares: of the recorded steps", footer]
    draw_panels(panels, "Thresholds over training", notes, output / "thresholds")
    return f"{output / 'thresholds'}.png"


def _share_of_rows(run: RunFound) -> float:
    """Of the recorded steps, those that were clipped, in [0, 1]."""
    return float(np.mean(run.dynamics["scale"] < 1))
