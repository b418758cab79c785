"""A run, or a comparison of two, as one HTML page: ``python scripts/report.py``."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from autoclip_sep import __version__
from autoclip_sep.cli import command, corpus, trained
from autoclip_sep.cli.settings import read
from autoclip_sep.errors import InputError
from autoclip_sep.figures.run_pairs import pairs
from autoclip_sep.figures.runs import GROUP, RunFound, frame
from autoclip_sep.names import shown
from autoclip_sep.report import report as page
from autoclip_sep.report.examples import Material
from autoclip_sep.report.sides import Reported, reported
from autoclip_sep.runs import scores, sources
from autoclip_sep.runs.score_groups import find

USAGE = """
python scripts/report.py run=runs/... [output=report.html]
python scripts/report.py runs=[A,B] [output=report.html]
python scripts/report.py a=FOLDER b=FOLDER

Writes one HTML file that needs no network: scores with intervals, learning curves, step sizes and
smoothness, thresholds, spikes with the recordings in them, settings, and the best, the median and
the worst example with spectrograms, masks and sounds. Two runs, or two groups of runs that differ
in their seed, are compared: a, b and runs name run directories, or folders of such.

Evaluate the runs first. Sounds need the checkpoints and the corpus (data.root= where it moved);
without them the page has none, and says so. trust=PACKAGE lets a run name your own code.
"""


def main() -> None:
    """The command."""
    command.main("report", report, USAGE)


def report(arguments: Sequence[str]) -> None:
    """Write the report that the arguments ask for."""
    settings = read("report", arguments)
    groups = read_groups(settings)
    alone = len(groups) == len(groups[0]) == 1
    folder = groups[0][0] if alone and groups[0][0].is_dir() else Path()
    output = Path(settings["output"] or folder / "report.html")
    write(reported(groups, settings["split"]), settings, output)


def write(found: Reported, settings: Mapping[str, Any], output: Path) -> None:
    """Write the page and print its path, and what isn't in it."""
    for line in page.write(found, partial(_material, found, settings), output, __version__):
        print(shown(f"left out: {line}"))
    print(shown(str(output)))


def of_pairs(directories: Sequence[Path], folder: Path) -> None:
    """Reports of runs with p = 10 against those with p = 100 or none, for each corpus and loss.

    Prints the path of each, or in one line why there is none.
    """
    runs = frame([RunFound(directory.resolve()) for directory in directories])
    groups = [runs[(runs[GROUP] == pair[GROUP].iloc[0]).all(axis=1)] for pair in pairs(runs)]
    for members in groups:
        sides = [members[members["percentile"] == p].drop_duplicates("seed") for p in (10, 100)]
        found = reported([[run.directory for run in side["run"]] for side in sides])
        ending = f"_{members['loss'].iloc[0]}" if len(groups) > 1 else ""
        try:
            write(found, read("report", []), folder / f"report{ending}.html")
        except InputError as error:
            print(shown(f"no report: {error}"))


def read_groups(settings: Mapping[str, Any]) -> list[list[Path]]:
    """One or two groups of runs. Raises InputError unless the settings name either."""
    given = {key: settings[key] for key in ("run", "runs", "a", "b") if settings[key]}
    if list(given) == ["run"]:
        return [find(given["run"])]
    if list(given) == ["a", "b"]:
        return [find(given[key]) for key in ("a", "b")]
    if list(given) == ["runs"] and len(pair := _listed(given["runs"])) == 2:
        return [find(one) for one in pair]
    raise InputError("which runs? run=RUN, or to compare two runs=[A,B], or a=... b=...")


def _listed(text: str) -> list[str]:
    """`[one,other]` as its parts; anything else is one path."""
    is_list = text.startswith("[") and text.endswith("]") and not Path(text).exists()
    return [part.strip() for part in text[1:-1].split(",")] if is_list else [text]


def _material(found: Reported, settings: Mapping[str, Any]) -> Material:
    """The networks and the corpus. Raises InputError where either isn't at hand."""
    place = found.split, settings["device"]
    runs = [_scored(side.first.directory, *place) for side in found.sides]
    store = corpus.prepare(corpus.moved(runs[0].config, settings["data"]))
    for run in runs:
        corpus.check_unchanged(run.directory, store, force=False)
    return Material(store, [run.separation for run in runs], sources.names(runs[0].config))


def _scored(directory: Path, split: str, device: torch.device) -> trained.Trained:
    """The network whose scores the page shows. Raises InputError where that isn't kept any more."""
    of = scores.note(directory / "evaluation" / f"{split}.csv").get("provenance", {})
    kind = str(of.get("checkpoint", "")).partition("-")[0]
    kind = kind if kind in ("last", "ema") else "best"
    run = trained.load(str(directory), kind, device)
    if of.get("sha256", run.sha256) != run.sha256:
        raise InputError(
            f"{directory}: its scores are of {of.get('checkpoint')}, and its {kind} checkpoint is "
            f"{run.checkpoint}: evaluate it again"
        )
    return run
