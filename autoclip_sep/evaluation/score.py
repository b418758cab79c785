"""Resumable score tables: one row for each source of each item of a split."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame
from tqdm import tqdm

from autoclip_sep.data.loading.loaders import evaluation_batches
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Metric, Separated
from autoclip_sep.evaluation.system import System
from autoclip_sep.runs import records, run_directory

KEYS = ("item", "source")  # their names


def score_split(
    metric: Metric,
    system: System,
    split: Split,
    path: Path,
    provenance: dict[str, Any],
    *,
    sample_rate: int,
    names: Sequence[str] = (),
    progress: bool = True,
) -> None:
    """Write a row for every source of every item to `path`; finished items are skipped.

    provenance: what the scores depend on (checkpoint, corpus, ...), kept in the .json beside the
    table; scores of a different provenance are deleted first. names: those of the sources, in the
    corpus' order; by default "1", "2", ...
    """
    names = names or [str(s + 1) for s in range(system.sources)]
    table, done = _open_table(path, (*KEYS, *metric.columns), provenance, len(names))
    bar = tqdm(total=len(split), initial=len(done), unit="item", desc=path.stem,
               disable=None if progress else True)  # fmt: skip
    with bar:
        for batch in evaluation_batches(split, batch_size=1, without=done):
            separated = Separated(
                batch, system.whole(batch), names, system.permute, sample_rate,
                system.device,
            )  # fmt: skip
            for name, scores in zip(names, metric.score(separated), strict=True):
                table.append({"item": batch.items[0], "source": name, **scores})
            bar.update()
    table.close()


def summarise(metric: Metric, path: Path) -> dict[str, Any]:
    """The metric's summary of a table, also written into the .json beside it.

    Raises InputError where no score is defined.
    """
    # dtype=object: pandas' string type can't hold names in another encoding than UTF-8.
    table = DataFrame(records.read(path), dtype=object).astype(dict(metric.columns))
    summary = metric.summarise(table)
    if not summary:
        raise InputError(
            f"{path}: nothing was scored, something is silent in each of its {len(table)} rows"
        )
    note = _note(path)
    content = {**run_directory.read_json(note), "summary": summary}
    run_directory.write_json(note, content)
    return summary


def _open_table(
    path: Path, columns: Sequence[str], provenance: dict[str, Any], rows_per_item: int
) -> tuple[records.Records, set[str]]:
    """The table, and its complete items; rows of incomplete items are dropped."""
    note = _note(path)
    if run_directory.read_json(note).get("provenance") != provenance:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        run_directory.write_json(note, {"provenance": provenance})
    table = records.Records(path, columns)
    count = Counter(row["item"] for row in table.rows())
    done = {item for item, number in count.items() if number == rows_per_item}
    if done != count.keys():
        table.keep(lambda row: row["item"] in done)
    return table, done


def _note(path: Path) -> Path:
    return path.with_suffix(".json")
