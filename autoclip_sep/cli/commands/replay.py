"""What AutoClip would have clipped of recorded norms: ``python scripts/replay.py``.

    python scripts/replay.py norms=runs/... [percentiles=1,10,25,50,90] [window=N] [warmup=N]
        [column=NAME] [output=figures/replay]

norms: a run directory (best: of python train.py clipping=shadow, which clips nothing and keeps
every norm in its checkpoints; else its dynamics.csv is taken), a state_dict of AutoClip or a
checkpoint with one in it (torch.save), a table or a plain column of numbers, or - for standard
input; `norms=` may be left out. column: which one of a table, by its name, or by its number from 1
where it has no header. window: take percentiles of the latest N norms only. warmup: clip nothing
during the first N norms. Non-finite norms are skipped and counted, as in training.

The table is printed; output gets replay.csv with the whole course, and the figure as .png and .pdf.
Norms recorded without clipping are those of a training without clipping. With it the weights would
have gone elsewhere and met other norms: this shows how often and how hard a percentile would have
acted, not how training would have ended.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from autoclip_sep.cli import arguments, command, recorded_norms
from autoclip_sep.cli.recorded_norms import RecordedNorms
from autoclip_sep.dynamics import Replay, replay
from autoclip_sep.errors import InputError
from autoclip_sep.figures.clippers import replay as figure
from autoclip_sep.files import write_whole
from autoclip_sep.names import shown

LONGEST_NAME = 110  # of a source in the figure's footer, in characters
DEFAULTS = {
    "norms": None,
    "percentiles": "1,10,25,50,90",
    "window": "",
    "warmup": "0",
    "column": "",
    "output": "figures/replay",
}


def main() -> None:
    """The command."""
    command.script("replay", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Replay the norms that the arguments name."""
    if words and "=" not in words[0] and not words[0].startswith("--"):
        words = [f"norms={words[0]}", *words[1:]]
    given = arguments.read(words, DEFAULTS)
    wanted = percentiles(given["percentiles"])
    window = arguments.count(given, "window", "norms") if given["window"] else None
    warmup = arguments.count(given, "warmup", "norms", least=0)
    recorded = recorded_norms.read(given["norms"], given["column"] or None)
    try:
        courses = replay(recorded.norms, wanted, window=window, warmup=warmup)
    except ValueError as error:
        raise InputError(str(error)) from error
    print(table(recorded, courses))
    write(recorded, courses, Path(given["output"]))


def percentiles(text: str) -> list[float]:
    """The numbers between the commas, each once, in rising order."""
    try:
        return sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise InputError(f"percentiles={text}: must be numbers with commas between") from error


def table(recorded: RecordedNorms, courses: Sequence[Replay]) -> str:
    """A line for each percentile."""
    lines = [
        f"{shown(recorded.source)}: {counted(recorded)}",
        "",
        f"{'p':>6}  {'threshold at the end':>20}  {'in the second half':>24}  {'clipped':>8}  "
        f"{'mean scale when clipped':>23}",
    ]
    for course in courses:
        low, high = course.late_range
        scale = f"{course.mean_scale:.3f}" if course.clipped.any() else "-"
        lines.append(
            f"{course.percentile:>6g}  {course.last_threshold:>20.4g}  "
            f"{f'{low:.4g} to {high:.4g}':>24}  {course.share:>8.1%}  {scale:>23}"
        )
    return "\n".join(lines)


def counted(recorded: RecordedNorms) -> str:
    """How many norms there are, of which steps, and how many are skipped or blank."""
    which = f" {recorded.which}" if recorded.which else ""
    kept = sum(map(math.isfinite, recorded.norms))
    blank = f", {recorded.blank:,} blank and left out" if recorded.blank else ""
    return f"{kept:,} norms{which}, {recorded.skipped:,} not finite and skipped{blank}"


def write(recorded: RecordedNorms, courses: Sequence[Replay], out: Path) -> None:
    """The figure, and the course of every threshold, as replay.{png,pdf,csv}."""
    name = shown(recorded.source)
    name = name if len(name) <= LONGEST_NAME else f"...{name[-LONGEST_NAME:]}"
    curves = [figure.Curve(one.percentile, one.thresholds.numpy(), one.share) for one in courses]
    steps, norms = torch.tensor([recorded.steps, recorded.norms], dtype=torch.float64).numpy()
    figure.draw(steps, norms, curves, f"{name}  ·  {counted(recorded)}", out / "replay")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["step", "norm", *(f"threshold_p{one.percentile:g}" for one in courses)])
    columns = [one.thresholds.tolist() for one in courses]
    rows.writerows(zip(recorded.steps, recorded.norms, *columns, strict=True))
    write_whole(out / "replay.csv", text.getvalue().encode())
    print(f"\n{shown(str(out / 'replay.png'))}, and .pdf and .csv with the whole course")
