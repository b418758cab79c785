"""Spikes: which batches' gradients stood out, and which examples were in them.

On the left the norm of each spike over the median of the norms before it, against iterations; on
the right the examples that were in the most spikes, of as many those of the largest loss first. An
example of many is worth listening to.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame, Series

from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer, style
from autoclip_sep.names import shown
from autoclip_sep.runs import records

MOST_NAMED = 12  # examples
MIXED = " + "  # between the tracks that one example is mixed of
LONGEST = 40  # letters of a name
NOT_FINITE = "#8A1C7C"
NUMBERS = ("step", "grad_norm", "median_norm", "loss")


def read(path: Path) -> DataFrame:
    """A spikes.csv: a row for each example of a batch, with step, ratio, item and loss.

    ratio: norm over median norm, inf for a non-finite norm. Of a mixture of several tracks
    each has a row. Raises InputError where it holds no spikes, or isn't such a file.
    """
    # Not pandas' own text: a name of another encoding than UTF-8 can't be one.
    table = DataFrame(records.read(path), dtype=object)
    try:
        numbers = table[[*NUMBERS]].astype(float)
        items = table["item"].str.split(MIXED, regex=False)
        if not numbers["median_norm"].all():
            raise ValueError("a median norm of 0")
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: {error}: not the spikes of a run") from error
    ratio = numbers["grad_norm"] / numbers["median_norm"]
    numbers["ratio"] = ratio.where(np.isfinite(ratio), np.inf)
    return numbers.assign(item=items).explode("item", ignore_index=True)


def ratios(table: DataFrame) -> Series:
    """By step, rising: how far the norm of each spike stood out."""
    return table.drop_duplicates("step", keep="last").set_index("step")["ratio"].sort_index()


def examples(table: DataFrame) -> Series:
    """In how many spikes each example was, most first; of as many those of the largest loss first.

    A loss that is NaN is larger than all others.
    """
    losses = table.assign(loss=table["loss"].fillna(np.inf)).groupby("item")
    found = losses.agg(spikes=("step", "nunique"), loss=("loss", "max"), first=("step", "min"))
    order = ["spikes", "loss", "first", "item"]
    return found.sort_values(order, ascending=[False, False, True, True])["spikes"]


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """A picture of every run that has spikes; a line for each."""
    lines = []
    for place, run in runs["run"].items():
        stem = output / "_".join(["spikes", *run.directory.parts[-5:]])
        text = f"{run.clipping}{style.BETWEEN}{footer.line(runs.loc[[place]])}"
        try:
            lines.append(draw(run.directory / "spikes.csv", text, stem))
        except InputError:  # none, or only what is kept of the run
            continue
    return lines


def draw(path: Path, text: str, stem: Path) -> str:
    """Draw a spikes.csv to <stem>.png and <stem>.pdf; a line of it. text: the footer."""
    table = read(path)
    spikes = ratios(table)
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    over_time, by_item = figure.subplots(1, 2, width_ratios=(1.6, 1))
    _over_time(over_time, spikes)
    _by_item(by_item, examples(table).head(MOST_NAMED))
    style.finish(figure, f"Spikes of the gradient norm: {len(spikes):,}", [text], stem, 12.5)
    return f"{stem}.png  {style.spikes(len(spikes))}"


def _over_time(axes: Axes, spikes: Series) -> None:
    finite = spikes[np.isfinite(spikes)]
    axes.vlines(finite.index, 1, finite, color=style.WITHOUT, linewidth=1)
    axes.plot(finite.index, finite, ".", color=style.WITHOUT, markersize=5)
    for step in spikes.index[~np.isfinite(spikes)]:
        axes.axvline(step, color=NOT_FINITE, linestyle=":", linewidth=1.2)
    if len(finite) < len(spikes):
        axes.plot([], [], color=NOT_FINITE, linestyle=":", label="not finite, skipped")
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="Iteration", ylabel="norm / median of the norms before", yscale="log",
             title="When, and how far above")  # fmt: skip
    style.over_iterations(axes)


def _by_item(axes: Axes, counts: Series) -> None:
    places = range(len(counts))
    axes.barh(places, counts, color=style.WITHOUT, height=0.66)
    axes.set_yticks(places, map(_short, counts.index), fontsize=7.5, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="spikes", title="Examples that were in most")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.bare_bars(axes)


def _short(name: str) -> str:
    """Of a long name the end, which distinguishes it more than its beginning does."""
    name = shown(name)
    return name if len(name) <= LONGEST else f"...{name[3 - LONGEST :]}"
