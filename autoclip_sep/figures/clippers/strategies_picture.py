"""What each clipping gains and costs to tune, as a picture: a row a setting, grouped by family."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from pandas import Series

from autoclip_sep.figures import footer, style
from autoclip_sep.figures.clippers.strategies_numbers import Strategies
from autoclip_sep.figures.clipping_methods import NO_CLIPPING, colour
from autoclip_sep.figures.over_seeds import mean, sd

GAP = 0.5  # rows between families


def draw(numbers: Strategies, stem: Path) -> None:
    """Draw to <stem>.png and <stem>.pdf."""
    groups = numbers.settings.groupby("family", sort=False)
    families = {str(family): settings for family, settings in groups}
    rows = len(numbers.settings) + len(numbers.families)
    height = 0.25 * (rows + GAP * len(families)) + 1.7
    figure = Figure(figsize=(9.6, height), layout="constrained")
    gains, shares = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    _without(gains, numbers.none)
    ticks, top = dict[float, str](), 0.0
    for family, settings in families.items():
        if family != NO_CLIPPING:
            ticks[top] = family
            _cost(gains, numbers.families.T[family], top)
            top += 1
        own = colour(family)
        for row, one in enumerate(settings.reset_index().to_dict("records")):
            ticks[top + row] = one["setting"] or family
            _gain(gains, numbers.gains[one["strategy"]].dropna(), top + row, own)
            _share(shares, one["clipped_share"], top + row, own)
        _span(gains, settings["si_sdr_improvement"], top, own)
        top += len(settings) + GAP
    gains.set(xlabel="SI-SDR improvement [dB]", ylim=(top - GAP - 0.3, -0.7),
              yticks=list(ticks), title="What it gains")  # fmt: skip
    gains.set_yticklabels(list(ticks.values()), fontsize=9)
    for label in gains.get_yticklabels():
        if label.get_text() in families:
            label.set(weight="bold", color=colour(label.get_text()))
    shares.set(xlim=(0, 1.3), xticks=(0, 0.5, 1), xlabel="of all steps", title="Share clipped")
    shares.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (gains, shares):
        style.bare_bars(axes)
    several = bool((numbers.settings["seeds"] > 1).any())
    style.finish(figure, f"Strategies on one task: {style.loss_name(numbers.loss)}", [
        *["Bars: ± standard deviation over seeds", "Small dots: seeds"] * several,
        "Shaded: from the worst setting to the best", "Red: no clipping",
        footer.line(numbers.runs),
    ], stem)  # fmt: skip


def _without(axes: Axes, none: Series) -> None:
    """No clipping's mean and spread over all rows; nothing where it wasn't run."""
    middle, spread = mean(none), sd(none)
    if math.isfinite(middle):
        axes.axvline(middle, color=style.WITHOUT, linewidth=1, linestyle="--", zorder=1)
    if math.isfinite(spread):
        axes.axvspan(middle - spread, middle + spread, color=style.WITHOUT, alpha=0.08, linewidth=0)


def _gain(axes: Axes, values: Series, row: float, own: str) -> None:
    """Every seed's value, their mean and spread."""
    several = len(values) > 1
    if several:
        axes.plot(values, [row] * len(values), ".", color=own, alpha=0.45, markersize=5,
                  markeredgewidth=0)  # fmt: skip
    axes.errorbar(mean(values), row, xerr=sd(values) if several else 0, color=own, marker="o",
                  markersize=6, capsize=2.5, linewidth=1.3)  # fmt: skip


def _share(axes: Axes, share: float, row: float, own: str) -> None:
    if math.isfinite(share):
        axes.barh(row, share, color=own, height=0.62)
        axes.text(share + 0.03, row, f"{share:.1%}", va="center", fontsize=8)


def _span(axes: Axes, means: Series, top: float, own: str) -> None:
    """From the worst setting of a family to the best, over all its rows."""
    if len(means) > 1:
        axes.add_patch(Rectangle((means.min(), top - 0.5), means.max() - means.min(), len(means),
                                 color=own, alpha=0.1, linewidth=0))  # fmt: skip


def _cost(axes: Axes, family: Series, row: float) -> None:
    """What it costs to tune, at the right end of the family's own row."""
    text = "one setting tried"
    if math.isfinite(family["cost"]):
        text = (f"best − worst {family['cost']:.2f} dB, {family['settings']} settings, "
                f"{family['runs']} runs")  # fmt: skip
    axes.text(0.995, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center",
              fontsize=8, color=style.SMALL_PRINT)  # fmt: skip
