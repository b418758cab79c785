"""A run as a job, trained and then evaluated; a sweep of another script as one job."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from autoclip_sep.building import config_files
from autoclip_sep.cli.corpus import augmentation_of
from autoclip_sep.cli.grid.runs import is_done
from autoclip_sep.cli.grid.side_by_side import Job
from autoclip_sep.cli.main import MODULE
from autoclip_sep.cli.plan import Plan
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.provenance import CHECKOUT

LAST_ROWS = 4096  # bytes of dynamics.csv, a few rows


def of_run(words: list[str], planned: Plan, steps: int) -> Job:
    """Train and evaluate a run, of so many steps in all."""
    return Job(
        str(planned.directory),
        [
            ("train", _words("train", *config_files.flags(), *words, "trainer.progress=false")),
            ("evaluate", _words("evaluate", *planned.evaluation(), "progress=false")),
        ],
        planned.directory,
        partial(_share_of_steps, planned.directory, steps),
        partial(run_directory.in_use, planned.directory),
        partial(is_done, planned),
    )


def of_script(words: list[str], logs: Path) -> Job:
    """A script of the checkout with its arguments, usually a sweep of its own."""
    settings = [word for word in words[1:] if not word.startswith("-")]
    name = re.sub(r"[^\w.=-]+", "_", " ".join(settings))
    program = ("train", [str(CHECKOUT / words[0]), *words[1:]])
    return Job(" ".join(words), [program], logs / name, _share_of_sweep)


def with_drawings(runs: Sequence[tuple[Plan, Job]], folder: Path) -> list[Job]:
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
            drawing = Job(f"figures of {loss}", [program], logs, after=own)
            jobs.insert(jobs.index(own[-1]) + 1, drawing)
    return jobs


def steps_of(planned: Plan, store: Store) -> int:
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
    return settings.epochs * min(loader.steps, settings.overfit_batches or loader.steps)


def _words(name: str, *arguments: str) -> list[str]:
    """A command as the words of a Python that finds nothing in the current folder."""
    return ["-P", "-m", MODULE, name, *arguments]


def _share_of_steps(directory: Path, steps: int, job: Job) -> float:
    """By the newest row of dynamics.csv, whose first column is the step."""
    try:
        with open(directory / "dynamics.csv", "rb") as file:  # megabytes, asked for twice a second
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_ROWS))
            rows = file.read().splitlines()
        return int(rows[-1].partition(b",")[0]) / steps
    except (OSError, IndexError, ValueError):  # none yet, or one that is being written
        return 0.0


def _share_of_sweep(job: Job) -> float:
    """A sweep says [3/24] when it begins its third run."""
    if job.log is None or not job.log.exists():
        return 0.0
    said = re.findall(r"^\[(\d+)/(\d+)\]", job.log.read_text(encoding="utf-8"), re.MULTILINE)
    return (int(said[-1][0]) - 1) / int(said[-1][1]) if said else 0.0
