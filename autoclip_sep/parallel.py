"""One function over many tasks on several cores, and functions in processes beside this one."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from autoclip_sep.errors import InputError

MANY = 1000  # failures after which the work ends
IDLE = 300  # seconds after which processes without work end
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
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
    with ExitStack() as stack:
        with stop_signals_blocked() if jobs > 1 else nullcontext():  # its tracker begins here, too
            how = Parallel(n_jobs=jobs, return_as="generator", batch_size="auto")
            pool = stack.enter_context(how)
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


class Beside:
    """Processes that compute while this one does something else; without any, this one does it all.

    They begin with the first function. An exception that leaves the `with` kills them.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None  # not the one that joblib uses again

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=kind is not None)

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Begin a function in one of the processes; its result is for `result`."""
        if not self._processes:
            return done(function(*arguments))
        with _killed_told(), stop_signals_blocked():  # a process may be started at any time
            if self._pool is None:
                threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
                self._pool = ProcessPoolExecutor(self._processes, timeout=IDLE, env=threads)
            future: Future[Result] = self._pool.submit(function, *arguments)
            return future


def done(value: Result) -> "Future[Result]":
    """A result that is there already."""
    future: Future[Result] = Future()
    future.set_result(value)
    return future


def result(future: "Future[Result]") -> Result:
    """The result, waited for; raises InputError where a process was killed."""
    with _killed_told():
        return future.result()


def _unless_killed(results: Iterable[Result]) -> Iterator[Result]:
    """The results as they arrive; raises InputError where a process was killed."""
    with _killed_told():
        yield from results


@contextmanager
def _killed_told() -> Iterator[None]:
    try:
        yield
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        resource_tracker.ensure_running()  # its start unblocks some of them before Python 3.14
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """End the idle worker processes, which joblib would keep for minutes."""
    get_reusable_executor().shutdown(wait=True)
