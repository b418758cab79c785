"""One function over many tasks, on several cores, with a progress bar."""

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

MANY = 1000  # failures after which the work ends
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_begun_in: list[str] = []  # the working folder in which the idle processes were started
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
    ends the work and is raised here; InputError where one of them is killed. failures: a list to
    which the message of each task's InputError is appended instead; the work continues without that
    task's result until there are `MANY`.
    """
    jobs = min(jobs or cores(), max(1, len(tasks)))
    if jobs > 1:
        _restart_in_another_folder()
    work = delayed(function if failures is None else partial(_attempt, function))
    done: list[Result] = []
    with Parallel(n_jobs=jobs, return_as="generator", batch_size="auto") as pool:
        with stop_signals_blocked() if jobs > 1 else nullcontext():
            results = pool(work(task) for task in tasks if len(failures or ()) < MANY)
        bar = tqdm(results, label, len(tasks), leave=False, disable=None if progress else True)
        for result in _unless_killed(bar):
            if failures is not None and isinstance(result, InputError):
                failures.append(str(result))
            else:
                done.append(result)
    return done


def _restart_in_another_folder() -> None:
    """End idle processes of another working folder, in which relative paths lead elsewhere."""
    here = os.getcwd()
    if _begun_in and _begun_in != [here]:
        release()
    _begun_in[:] = [here]


def _unless_killed(results: Iterable[Result]) -> Iterator[Result]:
    """The results as they arrive; raises InputError where a process was killed."""
    try:
        yield from results
    except TerminatedWorkerError as error:
        raise InputError(
            "a worker process was killed, perhaps because memory ran out; free some memory and"
            " run the same command again"
        ) from error


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | InputError:
    """The result, or the InputError of the task."""
    try:
        return function(task)
    except InputError as error:
        return error


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Processes started here ignore Ctrl-C and SIGTERM: this one gets them and ends the others.

    Otherwise each dies of a signal to the whole group, as `timeout`, a terminal or a cluster sends
    it, and some print a traceback. A signal that arrives meanwhile is handled at the end.
    """
    resource_tracker.ensure_running()  # its start unblocks the signals before Python 3.14
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """End the idle worker processes, which joblib would keep for minutes."""
    get_reusable_executor().shutdown(wait=True)
