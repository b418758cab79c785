"""All sections of a report, and the file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.report import (
    breakdown,
    curves,
    dynamics,
    examples,
    histograms,
    metrics,
    page,
    provenance,
    results,
    spikes,
    thresholds,
)
from autoclip_sep.report.examples import Material
from autoclip_sep.report.section import Section, Sound
from autoclip_sep.report.sides import Reported

Make = Callable[[], Section]


def write(
    reported: Reported, material: Callable[[], Material], output: Path, version: str
) -> list[str]:
    """Write the page; a line for each section that is left out, with whole paths.

    material: gives what sounds are made of, or raises InputError where it isn't at hand.
    Raises InputError where plotly is missing, or all of it would be left out.
    """
    plotly = page.plotly_script()  # before minutes are spent
    sounds: list[Sound] = []

    def heard() -> Section:
        section, of_spikes = examples.sections(reported, material())
        sounds.extend(of_spikes)
        return section

    left_out: list[str] = []
    made = _made({"examples to hear": heard}, left_out)
    first = {"the result": lambda: results.section(reported)}
    rest = {
        "scores of all mixtures": lambda: histograms.section(reported),
        "other metrics": lambda: metrics.section(reported),
        "breakdown": lambda: breakdown.section(reported),
        "learning curves": lambda: curves.section(reported),
        "training dynamics": lambda: dynamics.section(reported),
        "thresholds": lambda: thresholds.section(reported),
        "spikes": lambda: spikes.section(reported, sounds),
        "origin and settings": lambda: provenance.section(reported),
    }
    sections = [*_made(first, left_out), *made, *_made(rest, left_out)]
    if not sections:
        raise InputError(f"nothing to report of {reported.title}: {left_out[0]}")
    travelling = [_without_folders(line, reported) for line in left_out]
    content = page.page(reported.title, reported.subject, sections, travelling, version, plotly)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, content)
    return left_out


def _made(makers: dict[str, Make], left_out: list[str]) -> Sequence[Section]:
    """Those that the runs' files allow; the reason for each of the others goes to `left_out`."""
    sections = []
    for name, make in makers.items():
        try:
            sections.append(make())
        except InputError as error:
            left_out.append(f"{name}: {error}")
    return sections


def _without_folders(line: str, reported: Reported) -> str:
    """A message without the folders that runs lie in: those are of one machine, pages travel."""
    for side in reported.sides:
        for run in side.runs:
            is_run = (run.directory / "config.yaml").is_file()
            for above in run.directory.parents[4:5] if is_run else run.directory.parents[:1]:
                line = line.replace(f"{above}/", "")
    return line
