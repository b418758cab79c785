"""Cost against the length of the history, the corpus' size, the epoch, processes, runs."""

import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pandas import DataFrame

from autoclip_sep.figures.style import BETWEEN, SERIES, footer, save

WIDTH, HEIGHT, COLUMNS = 4.2, 2.9, 3  # inches of a panel; panels in a row
STYLES = ("-", "--", ":")


def draw(records: DataFrame, note: dict[str, Any], stem: Path) -> None:
    """A panel for each job with an axis: seconds by case, a curve for each side."""
    jobs = list(records[records["axis"] != ""].groupby(["job", "axis"], sort=False))
    high = math.ceil(len(jobs) / COLUMNS)
    figure = Figure(figsize=(WIDTH * COLUMNS, HEIGHT * high + 1.2), layout="constrained")
    panels = figure.subplots(high, COLUMNS, squeeze=False).flat
    for panel, ((job, axis), rows) in zip(panels, jobs, strict=False):
        measured = rows.dropna(subset="seconds")
        for number, (by, curve) in enumerate(measured.groupby("by", sort=False)):
            floor = by == "floor"
            panel.plot(
                curve["case"], 1e3 * curve["seconds"], marker=None if floor else "o",
                color="black" if floor else SERIES[number % len(SERIES)],
                linestyle=":" if floor else STYLES[number // len(SERIES) % len(STYLES)],
                linewidth=1.2, markersize=3, label=str(by).replace("`", ""),
            )  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel=axis, ylabel="ms")
        panel.set_title(job, fontsize=8)
        cases = sorted(measured["case"].unique())
        panel.set_xticks(cases, [f"{case:,}" for case in cases], minor=False, fontsize=7)
        panel.set_xticks([], minor=True)
        panel.legend(fontsize=5)
    for panel in list(figure.axes)[len(jobs) :]:
        panel.remove()
    footer(figure, BETWEEN.join([str(note["command"]), f"commit {note['commit']}", note["device"]]))
    save(figure, stem, suffixes=(".png",))
