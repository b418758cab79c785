"""One job of a sweep in a process that a launcher began: its outcome, its signals, its output."""

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from autoclip_sep.building import config_files
from autoclip_sep.names import shown
from autoclip_sep.training.preemption import SIGNALS, Interrupted

Outcome = tuple[str, str]  # "done", "failed" or "stopped", and a line that says why


def why(error: Exception) -> str:
    """An error's message, in a line."""
    return " ".join(str(error).strip().partition("\n")[0].split()) or type(error).__name__


class _Stop:
    """The signal that asked this process to stop; it begins no other job then."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.busy = False
        self.before: dict[int, Any] = {}  # the handlers there were

    def install(self) -> None:
        """Handle the signals from now on."""
        if not self.before:
            self.before = {number: signal.signal(number, self.handle) for number in SIGNALS}
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS} - {signal.SIGINT})

    def handle(self, number: int, frame: FrameType | None) -> None:
        """End what is being done; while a run trains, the trainer's own handler saves instead."""
        first, self.signal = self.signal is None, number
        if self.busy and first:
            raise KeyboardInterrupt

    def ended(self, number: int, line: str) -> Outcome:
        """The outcome of a stopped job, unless submitit or Slurm begin it again.

        submitit puts a job back into the queue when it gets SIGUSR2, which it may do now that the
        run is saved. Slurm does so after SIGTERM, and a result would be taken for the job's last.
        """
        self.signal = number
        again = self.before.get(number)
        if callable(again) and getattr(again, "__module__", "").startswith("submitit"):
            try:
                again(number, None)
            except Exception as error:
                return "stopped", f"{line} ({why(error)})"
        if os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            sys.exit(128 + number)
        return "stopped", line


STOP = _Stop()  # one for the process, as signals are


@dataclass
class Task:
    """What a launcher's process is given, pickled: a job of `jobs`, by the number Hydra counts."""

    jobs: list[list[str]]
    attempt: Callable[[Sequence[str]], str]
    added: list[Path]

    def __call__(self, config: DictConfig) -> Outcome:
        """The job's outcome, whatever happens."""
        config_files.ADDED[:] = self.added
        number = HydraConfig.get().job.num
        mark = f"[{number + 1}/{len(self.jobs)}]"
        with redirect_stdout(Marked(sys.stdout, mark)), redirect_stderr(Marked(sys.stderr, mark)):
            return self.outcome(self.jobs[number])

    def outcome(self, job: Sequence[str]) -> Outcome:
        """Run a job and say how it ended."""
        STOP.install()
        if STOP.signal is not None:
            return "stopped", "not begun"
        STOP.busy = True
        try:
            print(shown(" ".join(job)))
            line = self.attempt(job)
            return ("failed", line) if line else ("done", "")
        except Interrupted as stop:
            return STOP.ended(stop.exit_code - 128, str(stop))
        except KeyboardInterrupt:
            return STOP.ended(STOP.signal or signal.SIGINT, "stopped; the same command resumes")
        except Exception as error:  # a fault of ours, which stops no other job
            traceback.print_exc()
            return "failed", f"{type(error).__name__}: {why(error)}"
        finally:
            STOP.busy = False


class Marked(io.TextIOBase):
    """A stream whose lines begin with a mark, each written at once: several jobs share a screen."""

    def __init__(self, stream: TextIO, mark: str) -> None:
        self.stream, self.mark, self.line = stream, mark, ""

    def write(self, text: str) -> int:
        """Whole lines; the rest waits for its end."""
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            self.stream.write(f"{self.mark} {line}\n")
        self.stream.flush()
        return len(text)
