"""The launcher `slurm`: jobs as arrays on a cluster, waited for until all have ended.

What became of a job is read from its folder; the queue only says whether it may still work.
"""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autoclip_sep import locks
from autoclip_sep.cli.grid import slurm_arrays, slurm_queue
from autoclip_sep.cli.grid.on_node import NOTE
from autoclip_sep.cli.grid.side_by_side import Job, Progress, report_the_end, report_the_wait
from autoclip_sep.cli.grid.slurm_arrays import PURPOSE, Ticket
from autoclip_sep.cli.grid.slurm_queue import Entry, QueueError
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown, some
from autoclip_sep.optional import require
from autoclip_sep.training.preemption import Interrupted

ARRAYS = ".submitit"  # folder of the arrays, below that of the runs
# Why a job waits that has nothing to wait for but its turn.
USUAL = {
    "BeginTime", "Cleaning", "JobArrayTaskLimit", "None", "Priority", "RaisedSignal:12",
    "Resources",
}  # fmt: skip


def check_present() -> None:
    """Raise InputError where jobs can't be submitted: without Slurm's commands, or submitit."""
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise InputError(
            "launcher=slurm: sbatch and squeue are not on PATH; run this where jobs are submitted"
        )
    require("submitit", PURPOSE)


def run_all(jobs: Sequence[Job], settings: Mapping[str, Any], runs: Path) -> list[Job]:
    """Submit the jobs that aren't in the queue, wait for all; returns those that failed.

    settings: those of launchers/slurm.yaml. runs: folder of the runs. Raises Interrupted at Ctrl-C,
    with the jobs left in the queue; InputError where Slurm refuses the jobs.
    """
    waiting = _Waiting(jobs, settings, runs / ARRAYS)
    try:
        with Progress(len(jobs)) as progress:
            waiting.submit()
            while waiting.left:
                waiting.look(progress)
                if waiting.left:
                    time.sleep(settings["poll_s"])
    except QueueError as error:
        raise InputError(f"launcher=slurm: squeue doesn't answer: {error}") from error
    except KeyboardInterrupt as stop:
        names = ",".join(sorted({ticket.array for ticket in waiting.tickets.values()}))
        raise Interrupted(
            signal.SIGINT,
            f"stopped waiting; {len(waiting.tickets)} jobs stay in the queue: the same command "
            f"waits for them again, scancel --name={names} ends them",
        ) from stop
    return [job for job in jobs if job.failure]


@dataclass
class _Gone:
    """A job that the queue doesn't know any more, or as ended: how often that was so, and why."""

    looks: int = 0
    state: str = ""


class _Waiting:
    """The jobs that haven't ended.

    tickets: of those that are submitted. kills: how often a job's end was none of its own.
    """

    def __init__(self, jobs: Sequence[Job], settings: Mapping[str, Any], folder: Path) -> None:
        self.jobs, self.left = jobs, list(jobs)
        self.settings, self.folder = settings, folder
        self.tickets: dict[str, Ticket] = {}
        self.gone: dict[str, _Gone] = {}
        self.kills: Counter[str] = Counter()
        self.reported: set[str] = set()

    def submit(self) -> None:
        """Submit what has no ticket, once nobody else works on it.

        Calls that come at the same time take turns, so that none submits what another has.
        """
        todo = [job for job in self.left if job.name not in self.tickets]
        if not todo:
            return
        with locks.exclusive(self.folder / "submission"):
            found = slurm_arrays.find_again(todo, self.folder)
            new = [job for job in todo if job.name not in found and not self._busy(job)]
            submitted = slurm_arrays.submit(new, self.settings, self.folder) if new else {}
        self.tickets |= found | submitted
        if found:
            tqdm.write(f"{len(found)} jobs found in the queue")
        if new:
            name = next(iter(submitted.values())).array
            tqdm.write(shown(f"{len(new)} jobs submitted: {name}; output: {self.folder / name}"))

    def look(self, progress: Progress) -> None:
        """Ask the queue once: report the jobs that have ended, submit again those that must be."""
        try:
            queue = slurm_queue.look({ticket.array for ticket in self.tickets.values()} or {"-"})
        except QueueError as error:  # Slurm is restarted, perhaps; nothing is known then
            self._report(f"squeue doesn't answer, asking again: {error}")
            return
        running = []
        for job in [job for job in self.left if job.name in self.tickets]:
            entry = queue.get(self.tickets[job.name])
            if entry is not None and entry.active():
                self.gone.pop(job.name, None)
                running += [job] if entry.state == "RUNNING" else []
            else:
                self._settle(job, entry)
        self._report_reasons(queue)
        progress.update(len(self.jobs) - len(self.left), running)
        try:
            self.submit()
        except QueueError as error:
            self._report(f"squeue doesn't answer, asking again: {error}")

    def _settle(self, job: Job, entry: Entry | None) -> None:
        """Decide about a job that isn't in the queue: done, failed, or to be submitted again.

        Not before the second look in a row, as files may arrive late from another machine.
        """
        gone = self.gone.setdefault(job.name, _Gone())
        gone.looks += 1
        gone.state = entry.state if entry else gone.state
        status, line = slurm_arrays.note_says(job, self.tickets[job.name], NOTE)
        done = job.finished() if job.finished else status == "done"
        if gone.looks < 2 and not done:
            return
        del self.gone[job.name]
        array = self.tickets.pop(job.name).array
        where = f"see {job.logs} and {self.folder / array}"
        if done:
            job.failure = ""
        elif status == "failed":
            job.failure = line
        elif status == "done":
            job.failure = f"its commands ended well, and yet it isn't finished; {where}"
        elif gone.state == "CANCELLED":
            job.failure = "cancelled; the same command resumes"
        else:
            self.kills[job.name] += 1
            what = line or (gone.state or "left the queue").lower().replace("_", " ")
            job.failure = f"its job ended {self.kills[job.name]} times: {what}; {where}"
            if self.kills[job.name] <= self.settings["max_num_killed"]:
                tqdm.write(shown(f"submitting again: {job.name} ({what})"))
                return
        self.left.remove(job)
        job.ended = True
        report_the_end(job)

    def _busy(self, job: Job) -> bool:
        """Whether a process that isn't in the queue works on it."""
        busy = job.busy()
        if busy:
            report_the_wait(job, self.reported)
        return busy

    def _report_reasons(self, queue: Mapping[tuple[str, int], Entry]) -> None:
        """A line for each reason to wait that may need a person."""
        own = set(self.tickets.values())
        waiting = [e for key, e in queue.items() if key in own and e.state == "PENDING"]
        for reason in sorted({entry.reason for entry in waiting} - USUAL):
            numbers = [entry.number for entry in waiting if entry.reason == reason]
            self._report(f"{some(numbers)} waiting: {reason}; scontrol show job says more")

    def _report(self, line: str) -> None:
        """Print a line, once."""
        if line not in self.reported:
            self.reported.add(line)
            tqdm.write(shown(line))
