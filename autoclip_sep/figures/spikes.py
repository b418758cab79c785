"""Spikes: which batches' gradients stood out, and which examples were in them.

On the left the norm of each spike over the median of the norms before it, against iterations; on
the right the examples that were in the most spikes, of as many those of the largest loss first. An
example of many is worth listening to.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from autoclip_sep.errors import InputError
from autoclip_sep.figures import style
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.runs import RunFound, Series
from autoclip_sep.names import shown
from autoclip_sep.runs import records

MOST_NAMED = 12  # examples
MIXED = " + "  # between the tracks that one example is mixed of
LONGEST = 40  # letters of a name
NOT_FINITE = "#8A1C7C"


@dataclass(frozen=True)
class SpikesFound:
    """step, ratio: (spikes,), the ratio inf for a norm that isn't finite; items: of all batches,
    in the order of their largest losses.
    """

    step: Series
    ratio: Series
    items: Counter[str]


def read(path: Path) -> SpikesFound:
    """A spikes.csv, which has a row for each example of a batch.

    Raises InputError where it holds no spikes, or isn't such a file.
    """
    rows = records.read(path)
    try:
        spikes = {
            float(row["step"]): float(row["grad_norm"]) / float(row["median_norm"]) for row in rows
        }
        # Of a mixture of several tracks each counts, once a batch.
        parts = set[tuple[str, str]]()
        losses: dict[str, float] = defaultdict(lambda: -math.inf)
        for row in rows:
            loss = float(row["loss"])
            for part in row["item"].split(MIXED):
                parts.add((row["step"], part))
                losses[part] = max(losses[part], math.inf if math.isnan(loss) else loss)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{path}: {error}: not the spikes of a run") from error
    steps, ratios = np.array(sorted(spikes)), np.array([spikes[step] for step in sorted(spikes)])
    items = Counter(part for _, part in sorted(parts, key=lambda one: (-losses[one[1]], *one)))
    return SpikesFound(steps, np.where(np.isfinite(ratios), ratios, math.inf), items)


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """A picture of every run that has spikes; a line for each."""
    lines = []
    for run in found:
        try:
            read_in = read(run.directory / "spikes.csv")
        except InputError:  # none, or only what is kept of the run
            continue
        stem = output / "_".join(["spikes", *run.directory.parts[-5:]])
        draw(read_in, f"{run.clipping}{style.BETWEEN}{origin([run]).line()}", stem)
        lines.append(f"{stem}.png  {style.spikes(len(read_in.step))}")
    return lines


def draw(found: SpikesFound, footer: str, stem: Path) -> None:
    """Draw to <stem>.png and <stem>.pdf."""
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    over_time, by_item = figure.subplots(1, 2, width_ratios=(1.6, 1))
    _over_time(over_time, found)
    _by_item(by_item, found.items.most_common(MOST_NAMED))
    title = f"Spikes of the gradient norm: {len(found.step):,}"
    figure.suptitle(title, fontsize=12.5, weight="bold")
    style.footer(figure, footer)
    style.save(figure, stem)


def _over_time(axes: Axes, found: SpikesFound) -> None:
    finite = np.isfinite(found.ratio)
    axes.vlines(found.step[finite], 1, found.ratio[finite], color=style.WITHOUT, linewidth=1)
    axes.plot(found.step[finite], found.ratio[finite], ".", color=style.WITHOUT, markersize=5)
    for step in found.step[~finite]:
        axes.axvline(step, color=NOT_FINITE, linestyle=":", linewidth=1.2)
    if not finite.all():
        axes.plot([], [], color=NOT_FINITE, linestyle=":", label="not finite, skipped")
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="Iteration", ylabel="norm / median of the norms before", yscale="log",
             title="When, and how far above")  # fmt: skip
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.bare(axes)


def _by_item(axes: Axes, counts: Sequence[tuple[str, int]]) -> None:
    places = range(len(counts))
    axes.barh(places, [count for _, count in counts], color=style.WITHOUT, height=0.66)
    axes.set_yticks(places, [_short(name) for name, _ in counts], fontsize=7.5, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="spikes", title="Examples that were in most")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.bare_bars(axes)


def _short(name: str) -> str:
    """The end of a long name tells more than its beginning."""
    name = shown(name)
    return name if len(name) <= LONGEST else f"...{name[3 - LONGEST :]}"
