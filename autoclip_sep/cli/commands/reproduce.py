"""Train, evaluate and draw everything of a scale or an experiment: ``python scripts/reproduce.py``.

    python scripts/reproduce.py scale=demo [key=value ...]        make reproduce-figures
    python scripts/reproduce.py scale=full | scale=paper          make reproduce-figures SCALE=...
    python scripts/reproduce.py experiment=demo [key=value ...]   make demo
    python scripts/reproduce.py --config-dir=FOLDER ...           with files of your own

A scale is the runs behind every figure and table; an experiment is a choice of train.py, with its
sweep. key=value goes to every training run, `data=...` instead of the scale's own corpus,
`seed=0,1,2` for several seeds. together=4: runs at a time (one for each processor core, four on a
GPU).

Runs go side by side as processes of few threads, which is faster than one after the other. Finished
runs are skipped, interrupted ones resumed, a failed one doesn't stop the others. Pictures and
tables go to figures/, those of a loss as soon as all its runs are scored; at the end figures/
report.html compares p = 10 with no clipping. Ctrl-C stops all runs with their work saved.
"""

import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import yaml

from autoclip_sep.building import config_files
from autoclip_sep.cli import arguments, command, compose
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.cli.commands import figures, report
from autoclip_sep.cli.corpus import augmentation_of, prepare
from autoclip_sep.cli.main import MODULE
from autoclip_sep.cli.plan import Plan, plan
from autoclip_sep.cli.side_by_side import Job, run_all
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.parallel import cores
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, digest
from autoclip_sep.runs.provenance import CHECKOUT

SCALES = Path(__file__).parents[1] / "scales"
ON_A_GPU = 4  # runs at a time
LAST_ROWS = 4096  # bytes of dynamics.csv, a few rows
SHARED = ("runs", "seed")  # settings that the commands other than train.py get, too


@dataclass(frozen=True)
class Grid:
    """The sweeps of train.py, each as its arguments, those of other scripts, and what draws these.

    others, drawings: a script of the checkout and its arguments.
    """

    sweeps: list[list[str]]
    others: list[list[str]]
    drawings: list[list[str]]


def main() -> None:
    """The command."""
    command.script("reproduce", reproduce, __doc__)


def reproduce(given: Sequence[str]) -> int:
    """Run the scale or the experiment that the arguments name, then draw; gives the exit code."""
    given = command.with_config_dirs(given)
    own = [one for one in given if one.startswith("together=")]
    at_most = _together(own)
    grid = read_grid([one for one in given if one not in own] or ["scale=demo"])
    planned = plan_all(grid)
    left = [(words, run) for words, run in planned if not _is_done(run)]
    stores = _prepare([run for _, run in left])
    folder = Path(planned[0][1].config["runs"])
    # The others first: each is a sweep in one process, which would go on alone at the end.
    others = [words for words in grid.others if (CHECKOUT / words[0]).is_file()]
    if len(others) < len(grid.others):
        print(f"left out, as only a checkout has it: {grid.others[0][0]}")
    jobs = [_other_job(words, folder / "logs") for words in others]
    trained = [
        (run, _job(words, run, _steps(run, stores[str(run.config["data"])]))) for words, run in left
    ]
    jobs += _with_drawings(trained, folder)
    failed: list[Job] = []
    if jobs:
        at_once = min(at_most, len(jobs))
        threads = max(cores() // at_once, 1)
        print(f"{len(planned)} runs, {len(planned) - len(left)} of them finished before; "
              f"{at_once} at a time with {threads} threads each")  # fmt: skip
        with command.continued(folder):
            failed = run_all(jobs, at_once, threads)
    errors = [f"{job.name}: {job.failure}" for job in failed]
    try:
        errors += _draw(grid.drawings if others else [], folder)
    finally:  # whatever stops the drawing, such as a full disk
        for line in errors:
            print(shown(f"failed: {line}"), file=sys.stderr)
    report.of_pairs([run.directory for _, run in planned if _is_done(run)], Path("figures"))
    return 1 if errors else 0


def read_grid(given: Sequence[str]) -> Grid:
    """What the arguments ask for, by scale or by experiment."""
    scales = [one.partition("=")[2] for one in given if one.startswith("scale=")]
    rest = [one for one in given if not one.startswith("scale=")]
    experiments = [one for one in rest if one.startswith("experiment=")]
    if len(scales) + len(experiments) != 1:
        raise InputError("which runs? one of scale=demo, scale=full, scale=paper, experiment=...")
    if experiments:
        return Grid([rest], [], [])
    known = sorted(path.stem for path in SCALES.glob("*.yaml"))
    check_choice({"scale": scales[0]}, "scale", *known)
    file = yaml.safe_load((SCALES / f"{scales[0]}.yaml").read_text(encoding="utf-8"))
    own_corpus = any(one.startswith("data=") for one in rest)
    corpus = [] if own_corpus else shlex.split(file["corpus"])
    common = [*corpus, *shlex.split(file["settings"]), *rest]
    shared = [one for one in rest if one.partition("=")[0] in SHARED]
    return Grid(
        [[*shlex.split(sweep), *common] for sweep in file["sweeps"]],
        [[*shlex.split(other), *shared] for other in file.get("others", [])],
        [shlex.split(drawing) for drawing in file.get("drawings", [])],
    )


def plan_all(grid: Grid) -> list[tuple[list[str], Plan]]:
    """Every run once, understood and checked before the first one begins."""
    jobs = [words for sweep in grid.sweeps for words in compose.sweep("train", sweep)]
    runs_by_place = {run.directory: (words, run) for words, run in ((w, plan(w)) for w in jobs)}
    return list(runs_by_place.values())


def _draw(drawings: Sequence[Sequence[str]], folder: Path) -> list[str]:
    """Draw the runs of train.py, then those of other scripts; a line for each failure."""
    errors = []
    settings = [f"runs={folder}", "output=figures"]
    try:
        figures.run(settings)
    except InputError as error:  # where no run has records, for instance
        errors.append(str(error))
    for script, *words in drawings:
        program = [sys.executable, str(CHECKOUT / script), *words, *settings]
        if code := subprocess.run(program, check=False).returncode:
            errors.append(f"{script}: exit code {code}")
    return errors


def _is_done(planned: Plan) -> bool:
    """Whether it is trained, and its best checkpoint scored."""
    best = CheckpointFolder(planned.directory / "checkpoints").paths("best")
    tables = ["test", *(["test_bss_eval"] if planned.config["data"].get("bss_eval") else [])]
    folder = planned.directory / "evaluation"
    notes = [
        run_directory.read_json(folder / f"{name}.json", provenance=Mapping) for name in tables
    ]
    return planned.finished() and bool(best) and all(
        "summary" in note and note["provenance"].get("sha256") == digest(best[-1]) for note in notes
    )  # fmt: skip


def _prepare(planned: Sequence[Plan]) -> dict[str, Store]:
    """Make the corpora, once each, before the runs want them all at the same time.

    Returns their stores, each by its settings as text.
    """
    configs = {str(run.config["data"]): run.config for run in planned}
    return {data: prepare(config) for data, config in configs.items()}


def _with_drawings(runs: Sequence[tuple[Plan, Job]], folder: Path) -> list[Job]:
    """The jobs, and after those of each loss one that draws what is there by then.

    The loss that ends last needs none: at the end everything is drawn.
    """
    jobs = [job for _, job in runs]
    of_losses: dict[str, list[Job]] = defaultdict(list)
    for run, job in runs:
        of_losses[run.config["loss"]["name"]].append(job)
    for loss, own in of_losses.items():
        if own[-1] is not runs[-1][1]:
            program = ("draw", _words("figures", f"runs={folder}", "output=figures"))
            logs = folder / "logs" / f"figures_{loss}"
            drawing = Job(f"figures of {loss}", [program], logs, lambda _: 0.0, after=own)
            jobs.insert(jobs.index(own[-1]) + 1, drawing)
    return jobs


def _job(words: list[str], planned: Plan, steps: int) -> Job:
    return Job(
        str(planned.directory),
        [
            ("train", _words("train", *config_files.flags(), *words, "trainer.progress=false")),
            ("evaluate", _words("evaluate", *planned.evaluation(), "progress=false")),
        ],
        planned.directory,
        partial(_share_of_steps, planned.directory, steps),
        partial(run_directory.in_use, planned.directory),
    )


def _words(name: str, *arguments: str) -> list[str]:
    """A command as the words of a Python that finds nothing in the current folder."""
    return ["-P", "-m", MODULE, name, *arguments]


def _steps(planned: Plan, store: Store) -> int:
    """How many steps the run takes in all; 1 where it will fail at once."""
    settings = planned.settings
    try:
        loader = TrainingLoader(
            store.split("train"),
            batch_size=settings.batch_size,
            segment=settings.segment,
            seed=planned.seed,
            augmentation=augmentation_of(planned.config),
        )
    except InputError:  # which the run reports itself
        return 1
    return settings.epochs * loader.steps


def _share_of_steps(directory: Path, steps: int, job: Job) -> float:
    """By the newest row of dynamics.csv, whose first column is the step."""
    try:
        with open(directory / "dynamics.csv", "rb") as file:  # megabytes, asked for twice a second
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_ROWS))
            rows = file.read().splitlines()
        return int(rows[-1].partition(b",")[0]) / steps
    except (OSError, IndexError, ValueError):  # none yet, or one that is being written
        return 0.0


def _other_job(words: list[str], logs: Path) -> Job:
    settings = [word for word in words[1:] if not word.startswith("-")]
    name = re.sub(r"[^\w.=-]+", "_", " ".join(settings))
    program = ("train", [str(CHECKOUT / words[0]), *words[1:]])
    return Job(" ".join(words), [program], logs / name, _share_of_sweep)


def _share_of_sweep(job: Job) -> float:
    """A sweep says [3/24] when it begins its third run."""
    if job.log is None or not job.log.exists():
        return 0.0
    said = re.findall(r"^\[(\d+)/(\d+)\]", job.log.read_text(encoding="utf-8"), re.MULTILINE)
    return (int(said[-1][0]) - 1) / int(said[-1][1]) if said else 0.0


def _together(given: Sequence[str]) -> int:
    """How many runs go at a time."""
    if not given:
        return ON_A_GPU if torch.cuda.is_available() else cores()
    return arguments.count(arguments.read(given, {"together": None}), "together", "runs")
