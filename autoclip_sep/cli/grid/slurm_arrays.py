"""Arrays of Slurm jobs: submitted, and found again by a later call.

An array's name is that of its folder, whose list of jobs is written before the array is submitted:
however a call ends, the next one knows which of its jobs are in the queue.
"""

import io
import os
import re
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

from autoclip_sep.cli.grid import slurm_queue
from autoclip_sep.cli.grid.on_node import OnNode
from autoclip_sep.cli.grid.side_by_side import Job
from autoclip_sep.cli.launch import importable_by_children
from autoclip_sep.cli.launched import why
from autoclip_sep.errors import InputError
from autoclip_sep.optional import require
from autoclip_sep.parallel import STOPPING
from autoclip_sep.runs import run_directory

NAME = re.compile(r"reproduce-[0-9a-f]{8}")
JOBS = "jobs.json"
PURPOSE = "launcher=slurm"
OURS = ("max_num_timeout", "max_num_killed", "poll_s")  # settings that are none of sbatch's
OF_ALL = (
    "cpus_per_task",
    "gpus_per_node",
    "mem_gb",
    "timeout_min",
)  # that submitit's executors have


class Ticket(NamedTuple):
    """One submission of a job: its array's name, and its index there, `place`."""

    array: str
    place: int


def find_again(jobs: Sequence[Job], folder: Path) -> dict[str, Ticket]:
    """Those of the jobs that wait or run in the queue, by name, whoever submitted them.

    folder: of the arrays' folders. Raises QueueError where Slurm doesn't answer.
    """
    names = {_place(job, folder): job.name for job in jobs}
    found = {}
    for key, entry in slurm_queue.look().items():
        ticket = Ticket(*key)
        if entry.active() and NAME.fullmatch(ticket.array):
            path = folder / ticket.array / JOBS
            places = run_directory.read_json(path, jobs=Sequence[str]).get("jobs", [])
            if ticket.place < len(places) and places[ticket.place] in names:
                found[names[places[ticket.place]]] = ticket
    return found


def submit(jobs: Sequence[Job], settings: Mapping[str, Any], folder: Path) -> dict[str, Ticket]:
    """Submit jobs as an array; the ticket of each, by name.

    Raises InputError where Slurm refuses them, with its reason.
    """
    name = f"reproduce-{secrets.token_hex(4)}"
    place = folder / name
    place.mkdir(parents=True)
    run_directory.write_json(place / JOBS, {"jobs": [_place(job, folder) for job in jobs]})
    tickets = {job.name: Ticket(name, index) for index, job in enumerate(jobs)}
    submitit = require("submitit", PURPOSE)
    said = io.StringIO()  # submitit prints what it raises as well
    try:
        most = settings["max_num_timeout"]
        executor = submitit.AutoExecutor(place, cluster="slurm", slurm_max_num_timeout=most)
        executor.update_parameters(name=name, **_parameters(settings))
        with _submitting(), redirect_stderr(said):
            executor.submit_array([
                OnNode(Job(job.name, job.commands, job.logs.absolute()), _text(tickets[job.name]))
                for job in jobs
            ])  # fmt: skip
    except Exception as error:
        raise InputError(f"{PURPOSE}: {why(error)}") from error
    return tickets


def note_says(job: Job, ticket: Ticket, note: str) -> tuple[str, str]:
    """How the job says that it ended, and why, in its file `note`; nothing of other submissions."""
    found = run_directory.read_json(job.logs / note, ticket=str, status=str, line=str)
    if found.get("ticket") != _text(ticket):
        return "", ""
    return found.get("status", ""), found.get("line", "")


def _text(ticket: Ticket) -> str:
    return f"{ticket.array}/{ticket.place}"


def _place(job: Job, folder: Path) -> str:
    """A job's folder as seen from that of the arrays: the same from every working folder."""
    return os.path.relpath(job.logs, folder)


def _parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as submitit's, those that are null left out."""
    given = {k: v for k, v in settings.items() if v is not None and k not in OURS}
    if "cpus_per_task" in given:  # which srun no longer takes from sbatch, from Slurm 22.05 on
        given["srun_args"] = [f"--cpus-per-task={given['cpus_per_task']}"]
    return {key if key in OF_ALL else f"slurm_{key}": value for key, value in given.items()}


@contextmanager
def _submitting() -> Iterator[None]:
    """No signal stops sbatch halfway; jobs find this package, and nothing of a job around us."""
    kept = {k: v for k, v in os.environ.items() if k == "SLURM_CONF" or k.startswith("SBATCH_")}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        with ExitStack() as stack:
            stack.enter_context(importable_by_children())
            stack.enter_context(require("submitit.helpers", PURPOSE).clean_env())
            os.environ.update(kept)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
