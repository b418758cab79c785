"""Where a run leaves the reference: ``python scripts/compare_run.py``.

    python scripts/compare_run.py run=runs/... [reference=FOLDER] [output=figures/comparison]

run: a run directory, finished or not. reference: another one, what was kept of one, or a folder of
several that differ in their seed; left out, what is kept below recipes/*/results of the same
corpus, loss, network, clipping and other settings is taken. output: a picture, .png and .pdf.

Prints what differs in settings, corpus and versions; for each recorded quantity from which step the
run is outside the range of the references, and how far; then the verdict. A spike is no leaving;
1/12 of a run on one side of the range is. The range is as wide as the spread between references
asks for; with one alone, as is usual between seeds, and only coarse differences are found.

Of small runs that differed in nothing but their seed (12 seeds with p = 10 and with p = 100, the
same learning rates), 6 in 100 were reported to leave one reference, 5 two, 2 three, 1 four. A
schedule that lowers the learning rate elsewhere than in all references is reported as leaving.

Exit code 0: the run follows, as far as it has come; 1: it leaves; 2: wrong input.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.cli import arguments, command
from autoclip_sep.cli.plan import FIXED, FREE
from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer
from autoclip_sep.figures.comparison import curves, picture, references, report
from autoclip_sep.figures.comparison.records import RecordedRun
from autoclip_sep.figures.runs import frame
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.provenance import CHECKOUT

NAMED = {"seed", "percentile"}  # settings that the run's name and clipping.percentile tell


def main() -> None:
    """The command."""
    command.script("compare_run", compare, __doc__)


def compare(words: Sequence[str]) -> int:
    """Compare what the arguments name; gives the exit code."""
    given = arguments.read(words, {"run": None, "reference": "", "output": ""})
    run = RecordedRun(Path(given["run"]))
    run_directory.read_config(run.directory)  # InputError where it is no run
    kept = sorted(CHECKOUT.glob("recipes/*/results"))
    found = references.find(run.directory, given["reference"], kept)
    others = [RecordedRun(path) for path in found]
    compared = curves.compare(run, others)
    if not compared:
        raise InputError(f"{run.directory} and its reference have no recorded step in common")
    print(*report.heading(run, others, changes_numbers), "", sep="\n")
    verdict, same_seed = report.bits(run, others)
    leaves = not verdict and any(math.isfinite(curve.left) for curve in compared)
    if not verdict:
        print(report.table(compared), *same_seed, "", sep="\n")
        verdict = report.verdict(compared, run, others)
    if given["output"]:
        print(f"{draw(run, compared, len(others), Path(given['output']))}\n")
    print(verdict)
    return int(leaves)


def changes_numbers(setting: str) -> bool:
    """Whether records may differ where a setting differs, seeds aside."""
    return setting not in NAMED and bool(FIXED.fullmatch(setting) or not FREE.fullmatch(setting))


def draw(run: RecordedRun, compared: Sequence[curves.Curve], others: int, output: Path) -> str:
    """Draw the picture; gives a line with its files."""
    stem = output.with_suffix("") if output.suffix in (".png", ".pdf") else output
    resolved = RecordedRun(run.directory.resolve())  # folders' names tell corpus and loss
    beside = "the reference" if others == 1 else f"{others} references"
    name = f"{resolved.clipping}, {resolved.directory.name}"
    title = f"{'/'.join(resolved.group[:2])}, {name} beside {beside}"
    picture.draw(compared, title, footer.line(frame([resolved])), stem)
    return f"{stem}.png and .pdf"
