"""A job on a node of a cluster: its programs, the signals that save, a note on how it ended.

Imports little: on the node it is a second process beside that of the run.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from autoclip_sep import locks
from autoclip_sep.cli.grid.side_by_side import POLL, Job
from autoclip_sep.files import write_whole
from autoclip_sep.optional import require
from autoclip_sep.training.preemption import SIGNALS

NOTE = "slurm.json"  # in the job's folder of logs
FORWARD = 5.0  # seconds: Slurm sends its signals to all processes of a job, other ways may not


@dataclass
class OnNode:
    """What submitit pickles, and calls on the node.

    job: its commands and logs. ticket: which submission of the job this is.
    """

    job: Job
    ticket: str

    def checkpoint(self) -> Any:
        """What a job that is put back into the queue does there: the same, which resumes."""
        return require("submitit.helpers", "launcher=slurm").DelayedSubmission(self)

    def __call__(self) -> None:
        """Run the programs to their end, or to a signal; the exit code is the last one's."""
        received: list[int] = []

        def receive(number: int, frame: FrameType | None) -> None:
            received.append(number)

        before = {number: signal.signal(number, receive) for number in SIGNALS}
        self._note("running")
        job = replace(self.job, commands=[*self.job.commands])
        # Slurm may start a job again while its processes on another node are still saving.
        while locks.in_use(job.logs / ".lock") and not received:
            time.sleep(POLL)
        while not received and job.go_on(_threads()):
            time.sleep(POLL)
        if job.failure:
            time.sleep(1)  # the signal that ended the program may arrive here a little later
        if received:
            self._stop(job.process, received, before[signal.SIGUSR2])
        elif job.failure:
            assert job.process is not None
            code = job.process.returncode
            self._note("failed" if 0 < code < 128 else "killed", job.failure)
            sys.exit(code if code > 0 else 128 - code)
        self._note("done")

    def _stop(
        self, process: subprocess.Popen[bytes] | None, received: list[int],
        requeue: Callable[[int, FrameType | None], Any] | Any,
    ) -> None:  # fmt: skip
        """Let the program save; then Slurm begins the job again, at SIGUSR2 because it is asked to.

        requeue: submitit's handler of SIGUSR2, which ends this process.
        """
        if process is not None:
            try:
                process.wait(FORWARD)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
        self._note("stopped")
        if signal.SIGUSR2 in received and callable(requeue):
            try:
                requeue(signal.SIGUSR2, None)
            except Exception as error:  # no more requeues are allowed, or Slurm refuses this one
                line = f"saved at the end of its time; {error} The same command resumes"
                self._note("failed", " ".join(line.split()))
                raise
        sys.exit(128 + received[0])

    def _note(self, status: str, line: str = "") -> None:
        self.job.logs.mkdir(parents=True, exist_ok=True)
        note = {
            "ticket": self.ticket, "status": status, "line": line,
            "job": os.environ.get("SLURM_JOB_ID"), "node": platform.node(),
        }  # fmt: skip
        write_whole(self.job.logs / NOTE, (json.dumps(note, indent=1) + "\n").encode())


def _threads() -> int:
    """As many as Slurm gives the task processors."""
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or "1"
    return int(given)
