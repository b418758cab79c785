"""Train, evaluate and draw everything of a scale or an experiment: ``python scripts/reproduce.py``.

    python scripts/reproduce.py scale=demo [key=value ...]        make reproduce-figures
    python scripts/reproduce.py scale=full | scale=paper          make reproduce-figures SCALE=...
    python scripts/reproduce.py experiment=demo [key=value ...]   make demo
    python scripts/reproduce.py --config-dir=FOLDER ...           with files of your own

    python scripts/reproduce.py launcher=slurm ...                make ... LAUNCHER=slurm

A scale is the runs behind every figure and table; an experiment is a choice of train.py, with its
sweep. key=value goes to every training run, `data=...` instead of the scale's own corpus,
`seed=0,1,2` for several seeds. together=4: runs at a time (one for each processor core, four on a
GPU).

Runs go side by side as processes of few threads, which is faster than one after the other. Finished
runs are skipped, interrupted ones resumed, a failed one doesn't stop the others. Pictures and
tables go to figures/, those of a loss as soon as all its runs are scored; at the end
figures/report.html compares p = 10 with no clipping. Ctrl-C stops all runs with their work saved.

launcher=slurm submits the runs as array jobs to a cluster and waits for them. slurm.KEY=VALUE sets
what they ask for, slurm=FILE takes it from a file of your own; keys and defaults are in
autoclip_sep/cli/launchers/slurm.yaml. Ctrl-C leaves the jobs; the same command finds them again.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.cli import arguments, command
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.cli.commands import figures, report
from autoclip_sep.cli.grid import jobs, slurm, slurm_settings
from autoclip_sep.cli.grid.runs import is_done, plan_all, prepare_all, read_grid
from autoclip_sep.cli.grid.side_by_side import Job, run_all
from autoclip_sep.cli.plan import Plan
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.parallel import cores
from autoclip_sep.runs.provenance import CHECKOUT

OWN = re.compile(r"(launcher|together|slurm(\.[^=]*)?)=")  # arguments that no training run gets
ON_A_GPU = 4  # runs at a time


def main() -> None:
    """The command."""
    command.script("reproduce", reproduce, __doc__)


def reproduce(given: Sequence[str]) -> int:
    """Run the scale or the experiment that the arguments name, then draw; gives the exit code."""
    given = command.with_config_dirs(given)
    own = [one for one in given if OWN.match(one)]
    launch = _launcher(own)
    grid = read_grid([one for one in given if one not in own] or ["scale=demo"])
    planned = plan_all(grid)
    left = [(words, run) for words, run in planned if not is_done(run)]
    stores = prepare_all([run for _, run in left])
    folder = Path(planned[0][1].config["runs"])
    # The others first: each is a sweep in one process, which would go on alone at the end.
    others = [words for words in grid.others if (CHECKOUT / words[0]).is_file()]
    if len(others) < len(grid.others):
        print(f"left out, as only a checkout has it: {grid.others[0][0]}")
    trained = [
        (run, jobs.of_run(words, run, jobs.steps_of(run, stores[str(run.config["data"])])))
        for words, run in left
    ]
    failed: list[Job] = []
    if others or trained:
        print(f"{len(planned)} runs, {len(planned) - len(left)} of them finished before")
        beside = [jobs.of_script(words, folder / "logs") for words in others]
        failed = launch(beside, trained, folder)
    errors = [f"{job.name}: {job.failure}" for job in failed]
    try:
        errors += _draw(grid.drawings if others else [], folder)
    finally:  # whatever stops the drawing, such as a full disk
        for line in errors:
            print(shown(f"failed: {line}"), file=sys.stderr)
    report.of_pairs([run.directory for _, run in planned if is_done(run)], Path("figures"))
    return 1 if errors else 0


def _launcher(given: Sequence[str]) -> Callable[..., list[Job]]:
    """What runs the jobs: ``launch(jobs of other scripts, runs with their jobs, folder)``.

    Returns those that failed. Raises InputError for settings that the launcher hasn't.
    """
    of_slurm = [one for one in given if one.startswith("slurm")]
    rest = [one for one in given if one not in of_slurm]
    settings = arguments.read(rest, {"launcher": "local", "together": ""})
    check_choice(settings, "launcher", "local", "slurm")
    if settings["launcher"] == "slurm":
        if settings["together"]:
            raise InputError("together: with launcher=slurm it is slurm.array_parallelism=...")
        asked = slurm_settings.read(of_slurm)
        slurm.check_present()
        return partial(_on_slurm, asked)
    if of_slurm:
        raise InputError(f"{of_slurm[0]}: only launcher=slurm has this setting")
    usual = ON_A_GPU if torch.cuda.is_available() else cores()
    given_number = arguments.count(settings, "together", "runs") if settings["together"] else usual
    return partial(_here, given_number)


def _here(
    together: int, others: list[Job], trained: list[tuple[Plan, Job]], folder: Path
) -> list[Job]:
    """On this machine, side by side; the figures of a loss as soon as its runs are scored."""
    every = others + jobs.with_drawings(trained, folder)
    at_once = min(together, len(every))
    threads = max(cores() // at_once, 1)
    print(f"{at_once} at a time with {threads} threads each")
    with command.continued(folder):
        return run_all(every, at_once, threads)


def _on_slurm(
    settings: Mapping[str, Any], others: list[Job], trained: list[tuple[Plan, Job]], folder: Path
) -> list[Job]:
    """On a cluster."""
    return slurm.run_all([*others, *(job for _, job in trained)], settings, folder)


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
