"""Learning curves: losses and SI-SDR of every epoch."""

from typing import Any

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.report.plots import curve, decimal, layout
from autoclip_sep.report.section import Plot, Section, Table
from autoclip_sep.report.sides import Reported, Side

FEW = 40  # epochs, each of which is marked


def section(reported: Reported) -> Section:
    """Training and validation loss, and validation SI-SDR where it was recorded."""
    plots = [_plot(reported, "loss", "Loss", ("valid_loss", "train_loss"))]
    known = [run for side in reported.sides for run in side.runs if _has(run.history)]
    if known:
        plots.append(_plot(reported, "SI-SDR [dB]", "Validation SI-SDR", ("valid_si_sdr",)))
    lowest = f"The lowest validation loss is {reported.told(_lowest)}."
    rising = [side.text for side in reported.sides if _is_last(side)]
    more = (
        " It is reached in the last epoch: longer training may help."
        if len(rising) == len(reported.sides)
        else ""
    )
    return Section("Learning curves", lowest + more, [*plots, _table(reported)])


def _has(history: dict[str, Any]) -> bool:
    return "valid_si_sdr" in history and bool(np.isfinite(history["valid_si_sdr"]).any())


def _plot(reported: Reported, unit: str, title: str, columns: tuple[str, ...]) -> Plot:
    """A line for every run and column; only the first run's is in the legend."""
    data = []
    for side in reported.sides:
        for number, run in enumerate(side.runs):
            epochs = run.history["epoch"]
            mode = "lines+markers" if len(epochs) < FEW else "lines"
            hover = f"epoch %{{x}}<br>%{{y}}<extra>seed {int(run.config['seed'])}</extra>"
            for column in [name for name in columns if name in run.history]:
                data.append(curve(
                    epochs, run.history[column], side.name, side.colour,
                    dash="dot" if column == "train_loss" else "solid", mode=mode,
                    marker={"size": 5, "color": side.colour}, hovertemplate=hover,
                    showlegend=number == 0 and column == columns[0],
                ))  # fmt: skip

    def ends(side: Side) -> str:
        values = side.first.history[columns[0]]
        return f"from {_short(values[0])} to {_short(values[-1])}"

    answer = f"Validation: {reported.told(ends)}."
    caption = "Solid: validation; dotted: training." if len(columns) > 1 else ""
    return Plot(
        title,
        answer,
        data,
        layout("Epoch", unit, showlegend=reported.compared),
        caption,
        beside=True,
    )


def _best(side: Side) -> int:
    """The row of the lowest validation loss. Raises InputError where none is finite."""
    losses = side.first.history["valid_loss"]
    if not np.isfinite(losses).any():
        raise InputError("no finite validation loss")
    return int(np.nanargmin(losses))


def _lowest(side: Side) -> str:
    history, best = side.first.history, _best(side)
    epochs = f"epoch {history['epoch'][best]:.0f} of {history['epoch'][-1]:.0f}"
    return f"{_short(history['valid_loss'][best])} ({epochs})"


def _is_last(side: Side) -> bool:
    return _best(side) == len(side.first.history["epoch"]) - 1


def _table(reported: Reported) -> Table:
    rows = []
    for side in reported.sides:
        history = side.first.history
        for n, epoch in enumerate(history["epoch"]):
            cells = [f"{history[key][n]:.5g}" for key in ("train_loss", "valid_loss")]
            si_sdr = decimal(history["valid_si_sdr"][n]) if _has(history) else "–"
            share = (
                f"{100 * history['clipped_share'][n]:.0f} %" if "clipped_share" in history else ""
            )
            rows.append([f"{side.name}, {epoch:.0f}", *cells, si_sdr, share])
    columns = ["Run, epoch", "Training loss", "Validation loss", "SI-SDR [dB]", "Steps clipped"]
    return Table("Every epoch in numbers", columns, rows, folded=True)


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
