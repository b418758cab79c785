"""The same function over many tasks, on several cores, with a progress bar."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import resource_tracker
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from autoclip_sep.errors import InputError

MANY = 1000  # failures after which nobody wants to know of more
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_begun_in: list[str] = []  # the working folder when the last processes began
Task = TypeVar("Task")
Result = TypeVar("Result")


def cores() -> int:
    """Processors that this process may use (fewer than the machine has, in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parallel(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    label: str,
    jobs: int | None = None,
    progress: bool = True,
    failures: list[str] | None = None,
) -> list[Result]:
    """function(task) for every task, in the order of the tasks.

    jobs: processes; None is one per core, 1 stays in this process. An exception in any of them
    ends the work and is raised here; InputError where one of them is killed. failures: a list that
    gets the message of every task's InputError instead, while the work goes on without that task's
    result, until there are `MANY`.
    """
    jobs = min(jobs or cores(), max(1, len(tasks)))
    if jobs > 1:
        _begin_anew_elsewhere()
    work = delayed(function if failures is None else partial(_attempt, function))
    done: list[Result] = []
    with Parallel(n_jobs=jobs, return_as="generator", batch_size="auto") as pool:
        with signals_for_this_process_alone() if jobs > 1 else nullcontext():
            results = pool(work(task) for task in tasks if len(failures or ()) < MANY)
        bar = tqdm(results, label, len(tasks), leave=False, disable=None if progress else True)
        for result in _of_the_living(bar):
            if failures is not None and isinstance(result, InputError):
                failures.append(str(result))
            else:
                done.append(result)
    return done


def _begin_anew_elsewhere() -> None:
    """Idle processes lie in the folder that they began in, where relative paths lead elsewhere."""
    here = os.getcwd()
    if _begun_in and _begun_in != [here]:
        release()
    _begun_in[:] = [here]


def _of_the_living(results: Iterable[Result]) -> Iterator[Result]:
    """The results, as they come; InputError where a process was killed."""
    try:
        yield from results
    except TerminatedWorkerError as error:
        raise InputError(
            "one of the processes at work was killed, perhaps because memory ran out; free some and"
            " give the same command again"
        ) from error


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | InputError:
    """The result, or what was wrong with the task."""
    try:
        return function(task)
    except InputError as error:
        return error


@contextmanager
def signals_for_this_process_alone() -> Iterator[None]:
    """Processes begun here don't hear Ctrl-C, SIGTERM and the like: this one does, and ends them.

    Else each of them dies of what is sent to all, as `timeout`, a terminal or a cluster does, and
    some print a traceback. A signal that comes meanwhile waits for the end.
    """
    resource_tracker.ensure_running()  # unblocks the signals when it begins, before Python 3.14
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """End the idle processes, which joblib would keep for minutes; the next use starts new ones."""
    get_reusable_executor().shutdown(wait=True)
