"""The one scoring loop: separates every item of a split once and scores it by any metrics.

Metrics that take long are computed in other processes while this one separates. Items of one length
are separated together; others aren't padded to one length, since the end of a padded mixture
changes what a bidirectional LSTM makes of its beginning.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from autoclip_sep import parallel
from autoclip_sep.data.loading.loaders import evaluation_batches
from autoclip_sep.data.loading.segments import Recordings
from autoclip_sep.evaluation.metric import Metric, Separated
from autoclip_sep.evaluation.system import System
from autoclip_sep.evaluation.tables import Table, summarise
from autoclip_sep.types import Batch

__all__ = ["score", "score_split", "summarise"]

TOGETHER = 2**22  # samples of a batch's mixtures
WAITING = 2**28  # samples of all signals that wait for other processes: a gigabyte
AHEAD = 2  # items for each process that may wait for it: as many as loky's queue takes
CPU = torch.device("cpu")
Rows = list[dict[str, Any]]


def score_split(
    metric: Metric,
    system: System,
    split: Recordings,
    path: Path,
    provenance: dict[str, Any],
    **how: Any,
) -> None:
    """`score` by one metric, its rows to `path`."""
    score({path: metric}, system, split, provenance, **how)


def score(
    metrics: Mapping[Path, Metric],
    system: System,
    split: Recordings,
    provenance: dict[str, Any],
    *,
    sample_rate: int,
    names: Sequence[str] = (),
    progress: bool = True,
    batch_size: int = 1,
    workers: int = 0,
) -> None:
    """Write a row for every source of every item to the table of each metric.

    Items that a table has are skipped. What is in it at the end depends neither on batches nor on
    workers nor on how often it was interrupted.

    provenance: what the scores depend on (checkpoint, corpus, ...), kept in the .json beside each
    table; scores of a different provenance are deleted first. names: those of the sources, in the
    corpus' order; by default "1", "2", ... batch_size: items of one length that are separated
    together at most. workers: other processes, for metrics that take long.
    Raises InputError where a metric can't score this sample rate, or needs what isn't here.
    """
    names = names or [str(s + 1) for s in range(system.sources)]
    for metric in metrics.values():
        metric.check(sample_rate)
    tables = [Table(path, metric, provenance, len(names)) for path, metric in metrics.items()]
    done = set.intersection(*(table.done for table in tables))
    batches = evaluation_batches(split, batch_size, done, TOGETHER)
    bar = tqdm(total=len(split), initial=len(done), unit="item", desc=tables[0].path.stem,
               disable=None if progress else True)  # fmt: skip
    waiting: deque[_Begun] = deque()
    with bar, parallel.Beside(workers) as beside:
        for separated in _separated(batches, system, names, sample_rate):
            waiting.append(_begin(separated, tables, beside))
            while _too_much(waiting, workers):
                _finish(waiting.popleft(), bar)
        while waiting:
            _finish(waiting.popleft(), bar)
    for table in tables:
        table.close()


@dataclass(frozen=True)
class _Begun:
    """An item, and the metrics that lack it: scored here, or perhaps still being scored beside.

    samples: of all its signals, estimates included.
    """

    item: str
    names: Sequence[str]
    here: list[tuple[Table, Rows]]
    there: list[Table]
    rows: Future[list[Rows]]
    samples: int


def _separated(
    batches: Iterator[Batch], system: System, names: Sequence[str], sample_rate: int
) -> Iterator[Separated]:
    """The items of the batches, one by one."""
    for batch in batches:
        estimate = system.whole(batch)
        for b in range(len(batch.items)):
            # In memory of its own: a view would be sent to a worker with the whole batch.
            one = estimate[b : b + 1].clone() if len(batch.items) > 1 else estimate
            yield Separated(batch.item(b), one, names, system.permute, sample_rate, system.device)


def _begin(separated: Separated, tables: Sequence[Table], beside: parallel.Beside) -> _Begun:
    """Hand an item to the metrics that are computed beside, and score it by the other ones."""
    (item,) = separated.batch.items
    lacking = [table for table in tables if item not in table.done]
    there = [table for table in lacking if table.metric.in_workers(separated.device)]
    rows: Future[list[Rows]] = parallel.done([])
    if there:
        metrics = [table.metric for table in there]
        rows = beside.submit(_rows, metrics, replace(separated, device=CPU))
    here = [table for table in lacking if table not in there]
    scored = list(zip(here, _rows([table.metric for table in here], separated), strict=True))
    samples = separated.batch.mixture.numel() + 2 * separated.estimate.numel()
    return _Begun(item, separated.names, scored, there, rows, samples)


def _rows(metrics: Sequence[Metric], separated: Separated) -> list[Rows]:
    return [list(metric.score(separated)) for metric in metrics]


def _finish(begun: _Begun, bar: tqdm) -> None:
    """Wait for an item's scores, and write them."""
    beside: list[Rows] = parallel.result(begun.rows)
    for table, rows in (*begun.here, *zip(begun.there, beside, strict=True)):
        table.write(begun.item, begun.names, rows)
    bar.update()


def _too_much(waiting: Sequence[_Begun], workers: int) -> bool:
    """Whether the first of those that wait must be finished before another one is separated."""
    if len(waiting) <= 1 and workers:
        return False
    return len(waiting) > AHEAD * workers or sum(begun.samples for begun in waiting) > WAITING
