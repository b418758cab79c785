"""Score tables on the disk: which items are complete, and what sums them up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.scores import KEYS, note_path


class Table:
    """The rows of one metric, opened for appending; rows of incomplete items are dropped.

    provenance: what the scores depend on, kept in the .json beside it; scores of another one are
    deleted. done: the items that are complete.
    """

    def __init__(
        self, path: Path, metric: Metric, provenance: dict[str, Any], rows_per_item: int
    ) -> None:
        self.path, self.metric = path, metric
        if metric.settings:
            provenance = {**provenance, "metric": dict(metric.settings)}
        note = note_path(path)
        if run_directory.read_json(note).get("provenance") != provenance:
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            run_directory.write_json(note, {"provenance": provenance})
        self._records = records.Records(path, (*KEYS, *metric.columns))
        count = Counter(row["item"] for row in self._records.rows())
        self.done = {item for item, number in count.items() if number == rows_per_item}
        if self.done != count.keys():
            self._records.keep(lambda row: row["item"] in self.done)

    def write(self, item: str, names: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
        """Append the scores of an item, one row for each source."""
        for name, scores in zip(names, rows, strict=True):
            self._records.append({"item": item, "source": name, **scores})

    def close(self) -> None:
        """Close the file."""
        self._records.close()


def read(metric: Metric, path: Path) -> DataFrame:
    """The rows of a table, with the types of the metric's columns."""
    # dtype=object: pandas' string type can't hold names in another encoding than UTF-8.
    return DataFrame(records.read(path), dtype=object).astype(dict(metric.columns))


def summarise(metric: Metric, path: Path) -> dict[str, Any]:
    """The metric's summary of a table, also written into the .json beside it.

    Raises InputError where no score is defined.
    """
    table = read(metric, path)
    summary = metric.summarise(table)
    if not summary:
        raise InputError(
            f"{path}: nothing was scored, something is silent, or too short, in each of its"
            f" {len(table)} rows"
        )
    note = note_path(path)
    content = {**run_directory.read_json(note), "summary": summary}
    run_directory.write_json(note, content)
    return summary


def summarise_all(
    tables: Mapping[Path, Metric],
) -> tuple[dict[Metric, dict[str, Any]], list[str]]:
    """The summaries of the metrics with a score, and of each other one why it has none."""
    found: dict[Metric, dict[str, Any]] = {}
    undefined: list[str] = []
    for path, metric in tables.items():
        try:
            found[metric] = summarise(metric, path)
        except InputError as error:  # the others may be defined
            undefined.append(str(error))
    return found, undefined


def of_corpus(name: str, store: Store) -> dict[str, str]:
    """What a table depends on of the corpus."""
    return {"corpus": name, "fingerprint": store.fingerprint}
