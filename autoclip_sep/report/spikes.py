"""Spikes of the gradient norm, and the recordings that were in the batches."""

from collections.abc import Sequence

import numpy as np
from pandas import DataFrame

from autoclip_sep.dynamics.spikes import FIRST, TIMES, WINDOW
from autoclip_sep.errors import InputError
from autoclip_sep.figures import spikes, style
from autoclip_sep.names import shown
from autoclip_sep.report.plots import label, layout, numbers
from autoclip_sep.report.section import Example, Part, Plot, Row, Section, Sound, Table
from autoclip_sep.report.sides import Reported, Side

WHAT = (
    "A step is one where the norm of its gradient isn't finite or, from the"
    f" {FIRST + 1}st on, above {TIMES:g} times the median of up to {WINDOW:,} norms before it."
)
MOST_NAMED = 10  # spikes in the table
TICKS = [times * 10**power for power in range(7) for times in (1, 2, 5)]
MOST_POINTS = 400  # in the plot, the highest


def section(reported: Reported, sounds: Sequence[Sound] = ()) -> Section:
    """Of each side's first run. sounds: of recordings in the highest.

    Raises InputError where no run has spikes.
    """
    tables = {}
    for side in reported.sides:
        try:
            tables[side.key] = spikes.read(side.first.directory / "spikes.csv")
        except InputError:
            continue
    if not tables:
        raise InputError("no run has any")

    def number(side: Side) -> str:
        count = tables[side.key]["step"].nunique() if side.key in tables else 0
        return style.spikes(count)

    known = [(side, tables[side.key]) for side in reported.sides if side.key in tables]
    parts: list[Part] = [_plot(known)]
    parts += [_table(*each) for each in known]
    if sounds:
        parts.append(Example(
            "Recordings in the highest spikes", "", "Mixtures as they are in the corpus; training"
            " took a segment of each.", [Row(sounds)],
        ))  # fmt: skip
    return Section("Spikes", f"{reported.told(number)}. {WHAT}", parts)


def worth_hearing(side: Side, most: int) -> list[str]:
    """The recordings of the largest loss in the highest spikes of a side's first run."""
    try:
        table = spikes.read(side.first.directory / "spikes.csv")
    except InputError:
        return []
    top = table.assign(loss=table["loss"].fillna(np.inf)).sort_values(
        ["ratio", "loss"], ascending=False, kind="stable"
    )
    return list(dict.fromkeys(top.drop_duplicates("step")["item"]))[:most]


def _plot(known: Sequence[tuple[Side, DataFrame]]) -> Plot:
    data, answers = [], []
    for side, table in known:
        ratios = spikes.ratios(table).replace(np.inf, np.nan)
        top = ratios.nlargest(MOST_POINTS)
        names = table.groupby("step")["item"].agg(list)
        hover = ["<br>".join(label(name) for name in names[step][:8]) for step in top.index]
        data.append({
            "type": "scatter", "mode": "markers", "x": numbers(top.index), "y": numbers(top),
            "text": hover, "name": label(side.name), "marker": {"color": side.colour, "size": 7},
            "hovertemplate": "iteration %{x}: %{y:.1f} times<br>%{text}<extra></extra>",
        })  # fmt: skip
        if len(top):
            answers.append(
                f"{side.name}: the highest is {top.iloc[0]:.1f} times the median, at iteration"
                f" {top.index[0]:,.0f}."
            )
    axes = layout("Iteration", "Norm / median of the norms before", y_type="log",
                  y_tickvals=TICKS)  # fmt: skip
    return Plot("When, and how far above", " ".join(answers), data, axes,
                "Hover over a spike for the recordings in its batch.")  # fmt: skip


def _table(side: Side, table: DataFrame) -> Table:
    """The highest spikes with the recordings of their batches, the largest loss first."""
    worst = table.assign(loss=table["loss"].fillna(np.inf))
    rows = []
    for step, ratio in spikes.ratios(table).sort_values(ascending=False).head(MOST_NAMED).items():
        batch = worst[worst["step"] == step].sort_values("loss", ascending=False)
        others = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
        times = f"{ratio:.1f}" if np.isfinite(ratio) else "not finite"
        first = batch.iloc[0]
        rows.append([f"{step:,.0f}", times, f"{first['loss']:.3g}", shown(first["item"]) + others])
    columns = ["Iteration", "Times the median", "Largest loss", "Recording with that loss"]
    return Table(f"Highest spikes: {side.name}, seed {side.first.config['seed']}", columns, rows,
                 words=[3])  # fmt: skip
