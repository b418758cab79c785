"""Where a run leaves the reference: ``python scripts/compare_run.py``.

    python scripts/compare_run.py run=runs/... [reference=FOLDER] [output=figures/comparison]

run: a run directory, finished or not. reference: another one, what was kept of one, or a folder of
several that differ in their seed; left out, what is kept below recipes/*/results of the same
corpus, loss, network, clipping and other settings is taken. output: a picture, .png and .pdf.

First all that differs in settings, corpus and versions is named; then, for each recorded series,
the step from where the run is outside the band of the references, and how far; then the verdict.
Running medians are compared, so that a spike is no leaving; 1/12 of a run on one side of the band
is. The band is as wide as the spread between the references asks for. Of one reference alone it
isn't known: what is usual between seeds is taken then, and only coarse differences are told.

Of small runs that differed in nothing but their seed (12 seeds with p = 10 and with p = 100, the
same learning rates), 6 in 100 were told to leave one reference, 5 two, 2 three, 1 four. A schedule
that lowers the learning rate elsewhere than in all references is told as leaving.

Exit code 0: the run follows, as far as it has come; 1: it leaves; 2: wrong input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from autoclip_sep.cli import arguments, command
from autoclip_sep.cli.plan import FIXED, FREE
from autoclip_sep.errors import InputError
from autoclip_sep.figures.comparison import curves as comparison
from autoclip_sep.figures.comparison import picture as comparison_picture
from autoclip_sep.figures.comparison import references as reference_runs
from autoclip_sep.figures.comparison import report as comparison_text
from autoclip_sep.figures.comparison.curves import Course
from autoclip_sep.figures.origin import origin
from autoclip_sep.figures.runs_found import Columns, RunFound
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.provenance import CHECKOUT

NOTED = ("commit", "version", "torch", "python", "device", "threads")  # in provenance.json
TOLD_ELSEWHERE = {"seed", "percentile"}  # by the run's name, by clipping.percentile
SHOWN = 12  # settings that differ
MISSING = "without it"  # a setting, in a config of older or newer code


@dataclass(frozen=True)
class Member:
    """A run or a reference: its directory as it was named, and its records."""

    directory: Path
    found: RunFound
    records: dict[str, Columns]

    @property
    def name(self) -> str:
        """The run's last folder, with its seed."""
        return self.found.directory.name

    @property
    def digits(self) -> int | None:
        """In which its dynamics.csv was kept; None for all of them."""
        digits = Annotated[int, range(1, 100)] | None
        return run_directory.read_json(self.directory / "kept.json", digits=digits).get("digits")

    @property
    def last_step(self) -> int:
        """Of its records."""
        return int(max(file["step"][-1] for file in self.records.values()))


def main() -> None:
    """The command."""
    command.script("compare_run", compare, __doc__)


def compare(words: Sequence[str]) -> int:
    """Compare what the arguments name; gives the exit code."""
    given = arguments.read(words, {"run": None, "reference": "", "output": ""})
    return int(compare_run(Path(given["run"]), given["reference"], given["output"]))


def compare_run(directory: Path, reference: str, output: str) -> bool:
    """Print the comparison, draw it where an output is named, and return whether the run leaves."""
    run = member(directory)
    kept = sorted(CHECKOUT.glob("recipes/*/results"))
    references = [member(path) for path in reference_runs.find(directory, reference, kept)]
    courses = comparison.compare(run.records, [one.records for one in references])
    if not courses:
        raise InputError(f"{directory} and its reference have no recorded step in common")
    found = "" if reference else "  (found by the run's settings)"
    print("\n".join([*heading(run, references, found), *settings(run, references),
                     *origins(run, references), ""]))  # fmt: skip
    so_far = run.last_step < min(one.last_step for one in references)
    line, leaves = comparison_text.verdict(courses, len(references), so_far)
    same = identical(run, references)
    if same:
        line, leaves = same, False
    else:
        print("\n".join([*comparison_text.table(courses), *same_seed(run, references), ""]))
    if output:
        print(f"{draw(run, references, courses, Path(output))}\n")
    print(line)
    return leaves


def member(directory: Path) -> Member:
    """A run with its records; InputError where there is none."""
    run_directory.read_config(directory)
    return Member(directory, RunFound(directory.resolve()), comparison.read(directory))


def heading(run: Member, references: Sequence[Member], found: str) -> list[str]:
    """What is compared with what."""
    status = run_directory.read_state(run.directory).get("status", "kept")
    steps = min(one.last_step for one in references)
    named = [str(one.directory) for one in references[:1]]
    for before, one in pairwise(references):
        near = one.directory.parent == before.directory.parent
        named.append(one.name if near else str(one.directory))
    if len(named) > SHOWN:
        named = [*named[:SHOWN], f"and {len(named) - SHOWN} more"]
    return [f"run        {run.directory}: {status}, to step {run.last_step:,}",
            f"reference  {', '.join(named)}: to step {steps:,}{found}"]  # fmt: skip


def settings(run: Member, references: Sequence[Member]) -> list[str]:
    """What differs in the settings that change numbers, seeds aside."""
    lines: dict[str, str] = {}
    for one in references:
        for key, (here, there) in differing(run, one).items():
            lines.setdefault(key, f"{key}: {here}, reference {there}")
    shown = list(lines.values())[:SHOWN] or ["the same"]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [f"{'' if n else 'settings':<11}{line}" for n, line in enumerate([*shown, *more])]


def differing(run: Member, reference: Member) -> dict[str, tuple[str, str]]:
    """Both values of every setting that differs and changes numbers."""
    here, there = (
        run_directory.flatten(run.found.config),
        run_directory.flatten(reference.found.config),
    )
    keys = [key for key in run_directory.differences(here, there)
            if FIXED.fullmatch(key) or not FREE.fullmatch(key)]  # fmt: skip
    return {key: (str(here.get(key, MISSING)), str(there.get(key, MISSING)))
            for key in keys if key not in TOLD_ELSEWHERE}  # fmt: skip


def origins(run: Member, references: Sequence[Member]) -> list[str]:
    """What differs in corpus, versions and device."""
    notes = [one.found.provenance for one in (run, *references)]
    prints = [str(note.get("fingerprint", "unknown"))[:8] for note in notes]
    others = sorted(set(prints[1:]) - {prints[0]})
    corpus = f"another, {prints[0]}, reference {', '.join(others)}" if others else (
        f"the same, {prints[0]}")  # fmt: skip
    differing, alike = [], []
    for key in NOTED:
        here, *there = [str(note.get(key, "unknown")) for note in notes]
        if set(there) == {here}:
            alike.append(key)
        else:
            differing.append(f"{key} {here}, reference {', '.join(sorted(set(there)))}")
    same = [f"the same {', '.join(alike)}"] if alike else []
    return [f"corpus     {corpus}", f"made with  {'; '.join([*differing, *same])}"]


def first_difference(run: Member, reference: Member) -> float | None:
    """The first step whose records differ, in the digits that both have."""
    digits = min((one.digits for one in (run, reference) if one.digits), default=None)
    return comparison.first_difference(run.records, reference.records, digits)


def identical(run: Member, references: Sequence[Member]) -> str:
    """The verdict where all records that the run shares with a reference are the same, or ""."""
    for one in references:
        if first_difference(run, one) is None:
            kept = one.digits or run.digits
            but = f" (dynamics.csv in the {kept} digits that were kept)" if kept else ""
            last = min(run.last_step, one.last_step)
            return (
                f"identical to the bit to {one.name} in all shared records{but}, to step {last:,}"
            )
    return ""


def same_seed(run: Member, references: Sequence[Member]) -> list[str]:
    """From where the bits differ of a reference that has the same seed and settings."""
    lines = []
    for one in references:
        known = [values for values in differing(run, one).values() if MISSING not in values]
        if not known and one.found.config.get("seed") == run.found.config.get("seed"):
            step = first_difference(run, one)
            lines.append(f"{one.name} has the same seed: other bits from step {step:,.0f} on")
    return lines


def draw(run: Member, references: Sequence[Member], courses: Sequence[Course], output: Path) -> str:
    """Draw the picture and return the line that tells of it."""
    stem = output.with_suffix("") if output.suffix in (".png", ".pdf") else output
    of = "the reference" if len(references) == 1 else f"{len(references)} references"
    title = f"{'/'.join(run.found.group[:2])}, {run.found.clipping}, {run.name} beside {of}"
    comparison_picture.draw(courses, title, origin([run.found]).line(), stem)
    return f"{stem}.png and .pdf"
