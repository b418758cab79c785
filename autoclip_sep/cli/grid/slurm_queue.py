"""What squeue says about jobs: sacct needs accounting, which not every cluster has."""

import os
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

# All other states are those of jobs that may still do something, COMPLETING and held ones included.
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip


class Entry(NamedTuple):
    """A job in the queue. reason: why it waits."""

    number: str
    state: str
    reason: str

    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED


class QueueError(Exception):
    """squeue gave no answer."""


def look(names: Iterable[str] = ()) -> dict[tuple[str, int], Entry]:
    """This user's jobs, by their name and index in their array, 0 for one without an array.

    Slurm forgets those that ended a few minutes ago. names: of the jobs that are asked for; all by
    default. Raises QueueError where Slurm doesn't answer.
    """
    words = [
        "squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}",
        "--format=%i|%T|%r|%j", *([f"--name={','.join(names)}"] if names else []),
    ]  # fmt: skip
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(str(error)) from error
    if done.returncode != 0:
        raise QueueError(done.stderr.strip().partition("\n")[0])
    found = {}
    for line in done.stdout.splitlines():
        number, state, reason, name = line.split("|", 3)
        index = number.partition("_")[2]
        entry = Entry(number, state, reason)
        key = (name, int(index) if index.isdecimal() else 0)
        if key not in found or entry.active():
            found[key] = entry
    return found
