"""The same function over many tasks, on several cores, with a progress bar."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

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
) -> list[Result]:
    """function(task) for every task, in the order of the tasks.

    jobs: processes; None is one per core, 1 stays in this process. An exception in any of them
    ends the work and is raised here.
    """
    jobs = min(jobs or cores(), max(1, len(tasks)))
    with Parallel(n_jobs=jobs, return_as="generator", batch_size="auto") as pool:
        results = pool(delayed(function)(task) for task in tasks)
        bar = tqdm(results, label, len(tasks), leave=False, disable=None if progress else True)
        return list(bar)


def release() -> None:
    """End the idle processes, which joblib would keep for minutes; the next use starts new ones."""
    get_reusable_executor().shutdown(wait=True)
