"""Tables of scores that are gone on with: which items are done, and whether they still count."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoclip_sep.runs import records, run_directory


def open_table(
    path: Path, columns: Sequence[str], provenance: dict[str, Any], rows_per_item: int
) -> tuple[records.Records, set[str]]:
    """The table, and the items that it has all rows of; those of other items are dropped.

    provenance: what the scores depend on (checkpoint, corpus, ...). Scores of another provenance
        are thrown away first. It is kept in the .json beside the table.
    """
    note = path.with_suffix(".json")
    if run_directory.read_json(note).get("provenance") != provenance:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        run_directory.write_text(note, json.dumps({"provenance": provenance}, indent=1) + "\n")
    rows = records.Records(path, columns)
    count = Counter(row["item"] for row in rows.rows())
    if any(number != rows_per_item for number in count.values()):
        rows.keep(lambda row: count[row["item"]] == rows_per_item)
    return rows, {item for item, number in count.items() if number == rows_per_item}


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Put the summary of a table into the .json beside it."""
    note = path.with_suffix(".json")
    content = run_directory.read_json(note)
    run_directory.write_text(note, json.dumps({**content, "summary": summary}, indent=1) + "\n")
