"""What the pictures share: colours, files, footers."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Bbox

from autoclip_sep.files import write_whole

WITHOUT, WITH = "#D1495B", "#00667A"  # clipping: told apart in grey and by the colour-blind
SERIES = (WITHOUT, WITH, "#D98E04", "#7A5C8E")  # of runs drawn on the same axes
SMALL_PRINT = "#555555"
# The paper's symbols, in its order (Table 1).
LOSSES = {
    "deep_clustering": ("deep clustering", r"$L_\mathrm{DC}$"),
    "whitened_kmeans": ("whitened k-means", r"$L_\mathrm{WKM}$"),
    "mask_inference": ("mask inference", r"$L_\mathrm{MI}$"),
    "chimera": ("chimera", r"$L_\mathrm{MI+WKM}$"),
    "snr": ("signal-to-noise ratio", r"$L_\mathrm{SNR}$"),
}
STEP_SIZE = r"$\|\theta_t - \theta_{t-1}\|_2$"
HALO = [Stroke(linewidth=2, foreground="white"), Normal()]  # of letters over curves
BETWEEN = "  ·  "  # two notes of a footer
LETTERS_PER_INCH = 19  # of the small print
DPI = 200
NO_DATE = {".png": {}, ".pdf": {"CreationDate": None}}  # the same records give the same bytes


def save(figure: Figure, stem: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> None:
    """Write <stem>.png and <stem>.pdf, each whole or not at all."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    settle(figure, DPI)
    for suffix in suffixes:
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix[1:], dpi=DPI, metadata=NO_DATE[suffix])
        write_whole(stem.with_name(stem.name + suffix), drawn.getvalue())


def finish(figure: Figure, title: str, notes: Sequence[str], stem: Path, size: float = 13) -> None:
    """Title, footer of these notes, and both files; size: of the title."""
    figure.suptitle(title, fontsize=size, weight="bold")
    footer(figure, BETWEEN.join(notes))
    save(figure, stem)


def settle(figure: Figure, dpi: float) -> None:
    """Lay the axes out, once and for all.

    The solver's answers differ in their last digits from call to call, which shows in single
    pixels: they are rounded.
    """
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        place = axes.get_position(original=True)
        axes.set_position(Bbox(place.get_points().round(6)))


def footer(figure: Figure, text: str) -> None:
    """Corpus, scale, commit and device, in small print below the figure, broken between notes."""
    most = LETTERS_PER_INCH * figure.get_figwidth()
    length = len(text) / max(1, math.ceil(len(text) / most))  # of a line, all about as long
    first, *notes = text.split(BETWEEN)
    lines = [first]
    for note in notes:
        if len(lines[-1]) + len(note) / 2 < length:
            lines[-1] += BETWEEN + note
        else:
            lines.append(note)
    figure.supxlabel("\n".join(lines), fontsize=6.5, color=SMALL_PRINT)


def colours(count: int) -> Sequence[str]:
    """Of so many runs beside each other, at most four; one alone is no run without clipping."""
    return (WITH,) if count == 1 else SERIES[:count]


def spikes(number: int) -> str:
    """Their number in words."""
    return f"{number:,} spike" if number == 1 else f"{number:,} spikes"


def loss_name(loss: str) -> str:
    """A loss as a title names it, with its symbol where it is one of the paper's."""
    return ", ".join(LOSSES.get(loss, (loss.replace("_", " "),)))


def bare(axes: Axes) -> None:
    """No frame on two sides, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)


def over_iterations(axes: Axes) -> None:
    """The same for curves over training."""
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    bare(axes)


def bare_bars(axes: Axes) -> None:
    """The same for what is laid out in lines from the left: the names need no axis."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)


def legend_alone(axes: Axes, handles: Sequence[Line2D]) -> None:
    """A legend in one line, in flat axes of its own, where it hides nothing."""
    legend = axes.legend(handles=handles, loc="center", ncols=len(handles), frameon=False,
                         fontsize=9)  # fmt: skip
    legend.set_in_layout(False)  # wider than its axes, it would narrow all others
    axes.axis("off")
