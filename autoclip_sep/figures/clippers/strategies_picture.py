"""What each clipping gains and costs to tune, as a picture: a row a setting, grouped by family."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from autoclip_sep.figures import style
from autoclip_sep.figures.clippers.strategies_numbers import Family, Setting, Strategies
from autoclip_sep.figures.clipping_methods import NO_CLIPPING, colour

GAP = 0.5  # rows between families


def draw(numbers: Strategies, stem: Path) -> None:
    """Draw to <stem>.png and <stem>.pdf."""
    rows = len(numbers.settings) + sum(_headed(family) for family in numbers.families)
    height = 0.25 * (rows + GAP * len(numbers.families)) + 1.7
    figure = Figure(figsize=(9.6, height), layout="constrained")
    gains, shares = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    if numbers.none.values:
        _without(gains, numbers)
    ticks, bottom = dict[float, str](), 0.0
    for family in numbers.families:
        bottom = _family(gains, shares, family, bottom, ticks) + GAP
    gains.set(xlabel="SI-SDR improvement [dB]", ylim=(bottom - GAP - 0.3, -0.7),
              yticks=list(ticks), title="What it gains")  # fmt: skip
    gains.set_yticklabels(list(ticks.values()), fontsize=9)
    _embolden(gains, numbers.families)
    shares.set(xlim=(0, 1.3), xticks=(0, 0.5, 1), xlabel="of all steps", title="Share clipped")
    shares.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (gains, shares):
        style.bare_bars(axes)
    figure.suptitle(f"Strategies on one task: {style.loss_name(numbers.loss)}", fontsize=13,
                    weight="bold")  # fmt: skip
    several = any(len(one.gain.values) > 1 for one in numbers.settings)
    style.footer(figure, style.BETWEEN.join([
        *["Bars: ± standard deviation over seeds", "Small dots: seeds"] * several,
        "Shaded: from the worst setting to the best", "Red: no clipping", numbers.origin.line(),
    ]))  # fmt: skip
    style.save(figure, stem)


def _headed(family: Family) -> bool:
    return family.name != NO_CLIPPING


def _without(axes: Axes, numbers: Strategies) -> None:
    mean, spread = numbers.none.mean, numbers.none.spread
    axes.axvline(mean, color=style.WITHOUT, linewidth=1, linestyle="--", zorder=1)
    if math.isfinite(spread):
        axes.axvspan(mean - spread, mean + spread, color=style.WITHOUT, alpha=0.08, linewidth=0)


def _family(
    gains: Axes, shares: Axes, family: Family, top: float, ticks: dict[float, str]
) -> float:
    """Draw a family from the row `top` on; returns the first row below it."""
    own = colour(family.name)
    first = top
    if _headed(family):
        ticks[top] = family.name
        _cost(gains, family, top)
        first += 1
    for n, one in enumerate(family.settings):
        ticks[first + n] = one.clipping.setting or one.clipping.family
        _setting(gains, shares, one, first + n, own)
    if len(family.settings) > 1:
        low, high = family.worst.gain.mean, family.best.gain.mean
        gains.add_patch(Rectangle((low, first - 0.5), high - low, len(family.settings),
                                  color=own, alpha=0.1, linewidth=0))  # fmt: skip
    return first + len(family.settings)


def _setting(gains: Axes, shares: Axes, one: Setting, row: float, own: str) -> None:
    values = list(one.gain.values.values())
    if len(values) > 1:
        gains.plot(values, [row] * len(values), ".", color=own, alpha=0.45, markersize=5,
                   markeredgewidth=0)  # fmt: skip
    spread = one.gain.spread if math.isfinite(one.gain.spread) else 0
    gains.errorbar(one.gain.mean, row, xerr=spread, color=own, marker="o", markersize=6,
                   capsize=2.5, linewidth=1.3)  # fmt: skip
    if one.share.values:
        shares.barh(row, one.share.mean, color=own, height=0.62)
        shares.text(one.share.mean + 0.03, row, f"{one.share.mean:.1%}", va="center", fontsize=8)


def _cost(axes: Axes, family: Family, row: float) -> None:
    """What it costs to tune, at the right end of the family's own row."""
    tried = len(family.settings)
    text = "one setting tried"
    if family.cost.values:
        text = f"best − worst {family.cost.mean:.2f} dB, {tried} settings, {family.runs} runs"
    axes.text(0.995, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center",
              fontsize=8, color=style.SMALL_PRINT)  # fmt: skip


def _embolden(axes: Axes, families: Sequence[Family]) -> None:
    names = {family.name for family in families}
    for label in axes.get_yticklabels():
        if label.get_text() in names:
            label.set(weight="bold", color=colour(label.get_text()))
