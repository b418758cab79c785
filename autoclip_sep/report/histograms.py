"""How the scores are spread over the mixtures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pandas import Series

from autoclip_sep.report.plots import Trace, decimal, label, layout, limits, numbers, signed
from autoclip_sep.report.section import Plot, Section
from autoclip_sep.report.sides import Reported, Side

MOST_POINTS = 3000  # mixtures, each a point


def section(reported: Reported) -> Section:
    """Histograms, and beside them a point for every mixture.

    Raises InputError where scores of single items are missing.
    """
    reported.check_alike()
    ends = limits([side.by_item for side in reported.sides], margin=0.02)
    second = _against(reported) if reported.compared else _over_input(reported.sides[0])
    answer = (
        f"Half of the mixtures, each the mean of its sources, improve by more than"
        f" {reported.told(_median)}; {reported.told(_worse)} are no better than before."
    )
    return Section("Scores of all mixtures", answer, [_histogram(reported, ends), second])


def _median(side: Side) -> str:
    return f"{decimal(side.by_item.median())} dB"


def _worse(side: Side) -> str:
    return f"{100 * float((side.by_item <= 0).mean()):.0f} %"


def _spread(side: Side) -> str:
    low, high = np.quantile(side.by_item, [0.1, 0.9])
    return f"{decimal(low)} to {decimal(high)} dB"


def _histogram(reported: Reported, ends: list[float]) -> Plot:
    edges = bins([side.by_item for side in reported.sides], ends)
    data: list[Trace] = []
    for side in reported.sides:
        counts, _ = np.histogram(side.by_item, edges)
        data.append({
            "type": "bar", "x": numbers((edges[:-1] + edges[1:]) / 2), "y": counts.tolist(),
            "width": float(edges[1] - edges[0]), "name": label(side.name),
            "marker": {"color": f"{side.colour}-faint", "line": {"color": side.colour, "width": 1}},
            "hovertemplate": "%{y} mixtures around %{x:.1f} dB<extra></extra>",
        })  # fmt: skip
    axes = layout("SI-SDR improvement [dB]", "Mixtures", bargap=0)
    return Plot(
        "Histogram", f"Four fifths lie in {reported.told(_spread)}.", data, axes, beside=True
    )


def bins(groups: Sequence[Series], ends: Sequence[float]) -> NDArray[np.float64]:
    """The edges of bins from end to end, as narrow as one of the groups allows.

    By NumPy's "auto": the rule of Freedman and Diaconis, or Sturges' where that has more bins.
    """
    return max((np.histogram_bin_edges(one, "auto", (ends[0], ends[1])) for one in groups), key=len)


def _points(x: Series, y: Series, colour: str, hover: str) -> Trace:
    every = -(-len(x) // MOST_POINTS)
    return {
        "type": "scatter", "mode": "markers", "x": numbers(x[::every]), "y": numbers(y[::every]),
        "text": [label(str(item)) for item in x.index[::every]], "showlegend": False,
        "marker": {"color": colour, "size": 6, "opacity": 0.55},
        "hovertemplate": f"%{{text}}<br>{hover}<extra></extra>",
    }  # fmt: skip


def _against(reported: Reported) -> Plot:
    """Every mixture's score by the one against that by the other."""
    a, b = reported.sides
    both = a.by_item.index.intersection(b.by_item.index)
    x, y = b.by_item[both], a.by_item[both]
    ends = limits([x, y])
    diagonal: Trace = {
        "type": "scatter", "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip",
        "line": {"color": "@muted", "width": 1, "dash": "dot"}, "showlegend": False,
    }  # fmt: skip
    points = _points(x, y, a.colour, "%{x:.2f} dB, %{y:.2f} dB")
    better = float((y > x).mean())
    answer = f"{100 * better:.0f} % of the mixtures lie above the diagonal: better with {a.text}."
    axes = layout(f"{label(b.name)} [dB]", f"{label(a.name)} [dB]", x_range=ends, y_range=ends)
    return Plot("Mixture by mixture", answer, [diagonal, points], axes, beside=True)


def _over_input(side: Side) -> Plot:
    """Improvement against the mixture's own SI-SDR, by source: which is louder matters most."""
    own = side.improvement.mean(axis=1).dropna()
    before = (side.si_sdr.mean(axis=1) - own).loc[own.index]
    names = [" source ".join(map(str, key)) for key in own.index]
    x, y = (Series(values.to_numpy(), index=names) for values in (before, own))
    r = float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and x.std() and y.std() else float("nan")
    words = (
        f"Sources that are quieter in their mixture improve {'more' if r < 0 else 'less'}"
        f" (r = {decimal(r)})."
        if np.isfinite(r) else f"Improvements from {signed(y.min())} to {signed(y.max(), 'dB')}."
    )  # fmt: skip
    points = _points(x, y, side.colour, "mixture %{x:.2f} dB, improvement %{y:.2f} dB")
    axes = layout("SI-SDR of the mixture [dB]", "SI-SDR improvement [dB]")
    return Plot("Source by source", words, [points], axes, beside=True)
