"""What AutoClip would have clipped of recorded gradient norms, for every percentile asked.

NORMS is a run directory (best: of python train.py clipping=shadow, which clips nothing and keeps
every norm in its checkpoints; else its dynamics.csv is taken), a state_dict of AutoClip or a
checkpoint with one in it (torch.save), a table or a plain column of numbers, or - for standard
input. Norms that aren't finite are skipped and counted, as in training.

Norms recorded without clipping are those of a training without clipping. With it the weights would
have gone elsewhere and met other norms: this tells how often and how hard a percentile would have
acted, not how training would have ended.
"""

import argparse
import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from autoclip_sep.cli import command, recorded_norms
from autoclip_sep.cli.arguments import Parser
from autoclip_sep.cli.main import as_called
from autoclip_sep.cli.recorded_norms import RecordedNorms
from autoclip_sep.dynamics import Replay, replay
from autoclip_sep.errors import InputError
from autoclip_sep.figures.clippers import replay as figure
from autoclip_sep.files import write_whole

LONGEST_NAME = 110  # of a source in the figure's footer, in characters


def main() -> None:
    """The command."""
    with command.exit_codes("replay"):
        given = arguments()
        wanted = percentiles(given.percentiles)
        recorded = recorded_norms.read(given.norms, given.column)
        try:
            courses = replay(recorded.norms, wanted, window=given.window, warmup=given.warmup)
        except ValueError as error:
            raise InputError(str(error)) from error
        print(table(recorded, courses))
        write(recorded, courses, Path(given.out))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = Parser(as_called("python scripts/replay.py"), as_called(__doc__))
    parser.add_argument("norms", metavar="NORMS", help="run directory, file, or -")
    parser.add_argument("--percentiles", metavar="P,...", default="1,10,25,50,90",
                        help="default: %(default)s")  # fmt: skip
    parser.add_argument("--window", type=int, metavar="N",
                        help="take percentiles of the latest N norms only")  # fmt: skip
    parser.add_argument("--warmup", type=int, default=0, metavar="N",
                        help="clip nothing during the first N norms")  # fmt: skip
    parser.add_argument("--column", metavar="NAME",
                        help="which column of a table (default: grad_norm)")  # fmt: skip
    parser.add_argument("--out", default="figures/replay", metavar="FOLDER",
                        help="gets replay.csv, .png and .pdf (default: %(default)s)")  # fmt: skip
    return parser.parse_args()


def percentiles(text: str) -> list[float]:
    """The numbers between the commas, each once, in rising order."""
    try:
        return sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise InputError(
            f"--percentiles {text!r}: numbers with commas between are wanted"
        ) from error


def table(recorded: RecordedNorms, courses: Sequence[Replay]) -> str:
    """A line for each percentile."""
    lines = [
        f"{recorded.source}: {counted(recorded)}",
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
    """How many norms there are, of which steps, and how many were skipped or are blank."""
    which = f" {recorded.which}" if recorded.which else ""
    kept = sum(map(math.isfinite, recorded.norms))
    blank = f", {recorded.blank:,} blank and left out" if recorded.blank else ""
    return f"{kept:,} norms{which}, {recorded.skipped:,} not finite and skipped{blank}"


def write(recorded: RecordedNorms, courses: Sequence[Replay], out: Path) -> None:
    """The figure, and the course of every threshold, as replay.{png,pdf,csv}."""
    name = recorded.source
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
    print(f"\n{out / 'replay.png'}, and .pdf and .csv with the whole course")
