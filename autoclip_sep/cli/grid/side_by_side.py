"""Jobs, and the launcher `local`: side by side, as processes of few threads, until all are done."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

from tqdm import tqdm

from autoclip_sep.names import shown

POLL = 0.5  # seconds
REPORT = 60.0  # seconds between two lines where there is no bar


def _unknown(job: "Job") -> float:
    return 0.0


def _never() -> bool:
    return False


@dataclass
class Job:
    """Programs one after the other, each the words that Python is called with.

    commands: each with the name of its log. logs: folder for their output. done: the share done so
    far, in [0, 1]. busy: whether another process works on it, perhaps of an earlier call that was
    killed. finished: whether what it is for is there; None where only its commands can tell. after:
    jobs that must have ended before it starts.
    """

    name: str
    commands: list[tuple[str, list[str]]]
    logs: Path
    done: Callable[["Job"], float] = _unknown
    busy: Callable[[], bool] = _never
    finished: Callable[[], bool] | None = None
    after: Sequence["Job"] = ()
    ended: bool = False
    failure: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    log: Path | None = None

    def waits(self) -> bool:
        """Whether it can't start yet."""
        return not all(job.ended for job in self.after) or self.busy()

    def go_on(self, threads: int) -> bool:
        """Start the next command where the last has ended; False when nothing is left to do."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return True
            if code != 0:
                how = f"killed by {Signals(-code).name}" if code < 0 else f"exit code {code}"
                self.failure = f"{how}: {self._last_line()} ({self.log})"
                return False
        if not self.commands:
            return False
        name, words = self.commands.pop(0)
        self.log = self.logs / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        return True

    def _last_line(self) -> str:
        assert self.log is not None
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def run_all(jobs: Sequence[Job], together: int, threads: int) -> list[Job]:
    """Keep `together` jobs going, in their order, until all are done; returns those that failed.

    Whatever stops this process (an exception, Ctrl-C) is passed on to the jobs, which save first.
    """
    waiting, going, failed = list(jobs), list[Job](), list[Job]()
    reported: set[str] = set()
    with Progress(len(jobs)) as progress:
        try:
            while waiting or going:
                for job in [job for job in waiting if not job.waits()][: together - len(going)]:
                    waiting.remove(job)
                    going.append(job)
                if waiting and not going:
                    report_the_wait(waiting[0], reported)
                for job in list(going):
                    if not job.go_on(threads):
                        going.remove(job)
                        job.ended = True
                        failed += [job] if job.failure else []
                        report_the_end(job)
                progress.update(len(jobs) - len(waiting) - len(going), going)
                if waiting or going:
                    time.sleep(POLL)
        finally:
            _stop(going)
    return failed


class Progress:
    """A bar in a terminal; in a log, a line a minute on how many jobs are done."""

    FORM = "{l_bar}{bar}| {n:.1f}/{total} jobs [{elapsed}<{remaining}]"

    def __init__(self, total: int) -> None:
        self.total = total
        self.began = self.reported = time.monotonic()

    def __enter__(self) -> "Progress":
        self.bar = tqdm(total=self.total, bar_format=self.FORM, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, ended: int, going: Sequence[Job]) -> None:
        """So many jobs have ended, and these are going."""
        done = ended + sum(min(job.done(job), 1) for job in going)
        self.bar.update(done - self.bar.n)
        if self.bar.disable:
            self.report(done)

    def report(self, done: float) -> None:
        """Print how many jobs are done, if a minute has passed."""
        now = time.monotonic()
        if now - self.reported < REPORT or done >= self.total:
            return
        self.reported = now
        passed = (now - self.began) / 60
        left = f", about {math.ceil(passed * (self.total - done) / done)} left" if done > 0 else ""
        print(f"{done:.1f} of {self.total} jobs after {passed:.0f} minutes{left}", flush=True)


def report_the_end(job: Job) -> None:
    """A line for each job, as soon as it has ended."""
    tqdm.write(shown(f"{'failed' if job.failure else 'done'}: {job.name}"))


def report_the_wait(job: Job, reported: set[str]) -> None:
    """A line for each job that somebody else works on; reported: the jobs that have theirs."""
    if job.name not in reported:
        reported.add(job.name)
        tqdm.write(f"{job.name} is in use by another process: waiting for it")


def _stop(jobs: Sequence[Job]) -> None:
    """Jobs that are still going: they save and end."""
    processes = [job.process for job in jobs if job.process is not None]
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()
