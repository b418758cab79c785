"""Sweeps through Hydra's launchers: several jobs at a time on this machine, or on a cluster.

The launchers start processes and collect what the jobs return; a job never raises. Composing,
checks and messages are those of a sweep without them.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any
from unittest import mock

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig, OmegaConf

from autoclip_sep.building import config_files
from autoclip_sep.cli import compose
from autoclip_sep.cli.launched import Outcome, Task, why
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.optional import require
from autoclip_sep.training.preemption import SIGNALS, Interrupted

SETTING = re.compile(r"hydra/launcher=|hydra\.launcher\.[^=]*=")

# No folders, config copies and log files of Hydra's own; "." is replaced where a launcher has logs.
QUIET = [
    "hydra.sweep.dir=.", "hydra.sweep.subdir=.", "hydra.output_subdir=null",
    "hydra/hydra_logging=none", "hydra/job_logging=none",
]  # fmt: skip


def set_settings_aside(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the launcher and its settings from the arguments of the jobs."""
    settings = [argument for argument in arguments if SETTING.match(argument)]
    return settings, [argument for argument in arguments if argument not in settings]


def choose(name: str, settings: Sequence[str], first: Sequence[str]) -> DictConfig | None:
    """The config that names the launcher; None where the jobs run one after the other.

    first: the first job's arguments, since an experiment may choose a launcher too.
    Raises InputError for what the launcher can't be given.
    """
    config = compose.compose(name, [*QUIET, f"hydra.job.name={name}", *settings, *first])
    return None if _choice(config) == "basic" else config


def _choice(config: DictConfig) -> str:
    return str(config.hydra.runtime.choices["hydra/launcher"])


def run(
    config: DictConfig, jobs: Sequence[Sequence[str]], attempt: Callable[[Sequence[str]], str]
) -> list[str]:
    """What was wrong with each job, in their order, "" where nothing was; once all have ended.

    attempt: runs a job and returns what was wrong with it, or "".
    Raises Interrupted after a signal, once the jobs that had begun are saved; InputError where the
    launcher can't start them.
    """
    choice = _choice(config)
    folder = str(OmegaConf.select(config, "runs") or OmegaConf.select(config, "run") or ".")
    if config.hydra.sweep.dir == "." and "$" not in folder:  # which Hydra would interpolate
        config.hydra.sweep.dir = folder
    remote = choice == "submitit_slurm"
    task = Task([list(job) for job in jobs], attempt, list(config_files.ADDED))
    logs = f"; their output: {config.hydra.sweep.dir}/.submitit" if "submitit" in choice else ""
    print(shown(f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'} through {choice}{logs}"))
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        received = stack.enter_context(_passing_signals_on(waits=not remote))
        if logs:
            job = require("submitit", f"hydra/launcher={choice}").Job
            stack.enter_context(mock.patch.object(job, "results", _results(job.results)))
        stack.enter_context(importable_by_children())
        try:
            outcomes = _launch(config, task, task.jobs)
        except KeyboardInterrupt:
            if not remote:
                raise
            line = "stopped waiting; the jobs stay in the queue, scancel ends them"
            raise Interrupted(received[0], line) from None
        except TerminatedWorkerError:
            if not received:
                outcomes = _one_at_a_time(config, task, received)
        except Exception as error:
            if not received:
                raise InputError(f"hydra/launcher={choice}: {why(error)}") from error
    if received:
        done = sum(status == "done" for status, _ in outcomes)
        raise Interrupted(
            received[0], f"stopped; {done} of {len(jobs)} jobs are done, the same command resumes"
        )
    return [line for _, line in outcomes]


def _launch(config: DictConfig, task: Task, jobs: Sequence[list[str]], first: int = 0) -> list[Any]:
    """The outcomes of some of the task's jobs, which follow each other from number `first` on.

    Paths stay out of what Hydra parses once more: the jobs take their arguments from `task`.
    """
    overrides = [compose.set_paths_aside(job)[0] for job in jobs]
    with initialize_config_dir(version_base="1.3", config_dir=str(config_files.CONFIGS)):
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
    launcher = Plugins.instance().instantiate_launcher(context, task, config)
    return [job.return_value for job in launcher.launch(overrides, first)]


def _one_at_a_time(config: DictConfig, task: Task, received: Sequence[int]) -> list[Outcome]:
    """The outcomes of all jobs after joblib lost a process, with which its whole pool ends.

    Which jobs had ended isn't known: those find nothing left to do. One that is killed again fails.
    """
    print("a process was killed, perhaps because memory ran out: now one job at a time")
    config.hydra.launcher.n_jobs = 2  # 1 would be this process
    outcomes: list[Outcome] = []
    for number, job in enumerate(task.jobs):
        try:
            outcomes += _launch(config, task, [job], number)
        except TerminatedWorkerError:
            outcomes.append(("failed", "its process was killed, perhaps because memory ran out"))
        if received:
            break
    return outcomes


def _results(results: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """submitit's, with a failure for a job that ends without a result.

    The launcher would raise at the first such job, with the results of the others unread.
    """

    def or_failure(job: Any) -> list[Any]:
        try:
            return results(job)
        except Exception:
            outcome = ("failed", f"ended without a result; see {job.paths.stderr}")
            return [JobReturn(status=JobStatus.COMPLETED, _return_value=outcome)]

    return or_failure


@contextmanager
def importable_by_children() -> Iterator[None]:
    """A fresh Python finds this package where a checkout's script found it: beside itself."""
    place = str(config_files.CONFIGS.parents[1])
    with mock.patch.dict(os.environ):
        if sys.path[:1] == [place]:
            others = os.environ.get("PYTHONPATH")
            os.environ["PYTHONPATH"] = f"{place}{os.pathsep}{others}" if others else place
        yield


@contextmanager
def _passing_signals_on(waits: bool) -> Iterator[list[int]]:
    """A signal asks the processes begun meanwhile to save and end; the launcher waits for them.

    Gives the signals received so far. Ctrl-C is kept from the other processes of the terminal:
    submitit's local controller would kill its run a second later. They get SIGTERM, repeatedly,
    since a process that is still starting has no handler yet. A second Ctrl-C kills them.

    waits: whether the jobs are processes of this one; a cluster's go on without it.
    """
    psutil = require("psutil", "a sweep through a launcher")
    this, received, over = psutil.Process(), list[int](), threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        again = number == signal.SIGINT and number in received
        received.append(number)
        for child in this.children(recursive=True) if again else []:
            with suppress(psutil.Error):
                child.kill()
        if again or not waits:
            raise KeyboardInterrupt  # no Exception, which submitit would take for one of Slurm's

    def pass_on() -> None:
        while not over.wait(0.5):
            for child in this.children() if received else []:
                with suppress(psutil.Error):
                    child.terminate()

    before = {number: signal.signal(number, receive) for number in SIGNALS}
    threading.Thread(target=pass_on, daemon=True).start()  # with no signal blocked
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS} - {signal.SIGTERM})
    try:
        yield received
    finally:
        over.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
