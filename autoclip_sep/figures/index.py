"""index.html: every picture and table of a folder, each with what it answers."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from autoclip_sep.files import write_whole

# By how a file's name begins, in the order of the page: a title, and the question.
KINDS = {
    "table1": ("Table 1", "Which percentile is best for each loss, here and in the paper?"),
    "figure1": ("Figure 1", "How do step size, loss and smoothness go in training?"),
    "training_dynamics": (
        "Figure 1", "How do step size, loss and smoothness go without and with AutoClip?",
    ),
    "step_sizes": ("Step sizes", "How much larger than its neighbours is a step without clipping?"),
    "thresholds": ("Thresholds", "Where does AutoClip's threshold lie among the norms?"),
    "percentiles": ("The percentile", "What does the percentile change in loss and SI-SDR?"),
    "clipped": ("Share clipped", "How often does each strategy clip?"),
    "strategies": ("Strategies", "What does each strategy gain, and what does it cost to tune?"),
    "spikes": ("Spikes", "When do gradients stand out, and which examples are in them?"),
    "correlations": ("Correlations", "How closely does smoothness follow the gradient norm?"),
    "branches": ("Branches", "What changed from a step on, with other settings?"),
    "supersampling": ("ALRC", "What does ALRC change in its own experiment?"),
    "comparison": ("Comparison", "Where does a run leave its references?"),
    "replay": ("Replay", "What would AutoClip have clipped of recorded norms?"),
    "results": ("Results", "What does every run score?"),
    "differences": ("Differences", "What does clipping gain, and how sure is that?"),
}  # fmt: skip
PICTURES = (".png", ".gif")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }}
img {{ max-width: 100%; }}
h2 {{ margin: 2em 0 0; }}
p {{ margin: 0.2em 0 1em; }}
figcaption {{ color: #555; font-size: 0.8em; }}
figure {{ margin: 0 0 1.5em; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write(output: Path) -> Path | None:
    """Write <output>/index.html of the files there; None where there are none."""
    names = [path.name for path in sorted(output.iterdir())] if output.is_dir() else []
    parts = [part for kind in KINDS if (part := _section(kind, names))]
    if not parts:
        return None
    path = output / "index.html"
    page = PAGE.format(title="Figures and tables", body="\n".join(parts))
    write_whole(path, page.encode(errors="surrogateescape"))
    return path


def _section(kind: str, names: Iterable[str]) -> str:
    own = [name for name in names if _kind(name) == kind]
    if not own:
        return ""
    title, question = KINDS[kind]
    pictures = [name for name in own if name.endswith(PICTURES)]
    others = [name for name in own if name not in pictures]
    figures = "\n".join(
        f'<figure><img src="{quote(name)}" alt="{escape(title)}" loading="lazy">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name in pictures
    )
    links = ", ".join(f'<a href="{quote(name)}">{escape(name)}</a>' for name in others)
    return f"<h2>{title}</h2>\n<p>{question}</p>\n{figures}\n<p>{links}</p>"


def _kind(name: str) -> str:
    return next((kind for kind in KINDS if name.partition(".")[0].startswith(kind)), "")
