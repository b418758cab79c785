"""The project's commands in processes of their own, by the hundred.

Each is forked off this process, which has imported torch already: a start takes milliseconds
instead of seconds. It is a process like any other otherwise, and can be killed.
"""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autoclip_sep.cli import command
from autoclip_sep.cli.commands import evaluate, separate, train

# torch imports a thousand modules with its first optimizer. No gradients here: threads that compute
# them would be missing in what is forked off.
torch.optim.Adam([torch.zeros(1)])

JOBS = {
    "train": (train.train, train.USAGE),
    "evaluate": (evaluate.evaluate, evaluate.USAGE),
    "separate": (separate.separate, separate.USAGE),
}


@dataclass(frozen=True)
class Ended:
    """A process that is gone. code: what it returned, or -n where signal n killed it."""

    code: int
    out: str
    errors: str
    seconds: float


class Process:
    """A command in a folder, begun. What it says must fit into a pipe: 64 kB."""

    def __init__(
        self, place: Path, name: str, arguments: Sequence[str], before: Callable[[], object]
    ) -> None:
        pipes = [os.pipe(), os.pipe()]
        self.began = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            for number, (_, write) in enumerate(pipes, 1):
                os.dup2(write, number)
            self._become(place, name, arguments, before)
        for _, write in pipes:
            os.close(write)
        self._outputs = [os.fdopen(read) for read, _ in pipes]

    def _become(
        self, place: Path, name: str, arguments: Sequence[str], before: Callable[[], object]
    ) -> None:
        """What the new process does, to its end."""
        code = 1
        try:
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            faulthandler.enable(sys.stderr)
            for caught in (signal.SIGTERM, signal.SIGUSR1):
                signal.signal(caught, signal.SIG_DFL)
            os.chdir(place)
            sys.argv = [f"{name}.py", *arguments]
            before()
            command.main(name, *JOBS[name])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def send(self, number: int) -> None:
        """Send a signal; the process may have ended, but it hasn't been waited for."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = 120) -> Ended:
        """Wait for its end; TimeoutError, the process killed, where it doesn't come."""
        until = time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"no end after {timeout} s")
            time.sleep(0.002)
        seconds = time.monotonic() - self.began
        out, errors = (output.read() for output in self._outputs)
        for output in self._outputs:
            output.close()
        return Ended(os.waitstatus_to_exitcode(status), out, errors, seconds)


def begin(place: Path, name: str, *arguments: str, before: Callable[[], object] = int) -> Process:
    """Start a command (train, evaluate, separate). before: called in the new process first."""
    return Process(place, name, arguments, before)


def run(place: Path, name: str, *arguments: str, before: Callable[[], object] = int) -> Ended:
    """A command from its start to its end."""
    return begin(place, name, *arguments, before=before).wait()
