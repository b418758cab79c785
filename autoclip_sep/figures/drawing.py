"""What the pictures share: colours, files, footers."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoclip_sep.files import write_whole

WITHOUT, WITH = "#D1495B", "#00667A"  # clipping: told apart in grey and by the colour-blind
SMALL_PRINT = "#555555"
NO_DATE = {".png": {}, ".pdf": {"CreationDate": None}}  # the same records give the same bytes


def save(figure: Figure, stem: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> None:
    """Write <stem>.png and <stem>.pdf, each whole or not at all."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix[1:], dpi=200, metadata=NO_DATE[suffix])
        write_whole(stem.with_name(stem.name + suffix), drawn.getvalue())


def footer(figure: Figure, text: str) -> None:
    """Corpus, scale, commit and device, in small print below the figure."""
    figure.supxlabel(text, fontsize=6.5, color=SMALL_PRINT)


def bare(axes: Axes) -> None:
    """No frame on two sides, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
