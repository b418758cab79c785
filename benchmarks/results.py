"""What a run of the suite leaves: its records in JSON, tables in Markdown, a picture."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pandas import DataFrame

from autoclip_sep.figures.markdown import table
from autoclip_sep.files import write_whole
from autoclip_sep.runs.provenance import commit, device_name
from benchmarks import goals, picture
from benchmarks.floor import Rates
from benchmarks.harness import Settings

PAGE = "benchmarks.md"
HEADINGS = {
    "losses": "Losses", "training": "Training steps", "clipping": "Clipping",
    "evaluation": "Evaluation", "data": "Data", "commands": "Commands",
    "scaling": "What the cost grows with",
}  # fmt: skip


@dataclass(frozen=True)
class Results:
    """The records and where they come from.

    note: command, commit, device and the like. failures: a line for each row that has no records.
    """

    kind: str
    note: dict[str, Any]
    records: DataFrame
    failures: list[str]

    @classmethod
    def of(
        cls, at: Settings, records: DataFrame, rates: Rates, failures: list[str], command: str
    ) -> "Results":
        """Those of a run, with what it ran on."""
        operations, bytes_ = rates.measured(at.threads)
        note = {
            "command": command, "commit": commit(), "date": datetime.now(UTC).date().isoformat(),
            "device": device_name(at.device), "cores": os.cpu_count(), "threads": at.threads,
            "torch": str(torch.__version__), "quick": at.quick,
            "load": [round(load, 1) for load in os.getloadavg()],
            "gigaflops": round(1e-9 * operations, 1),
            "gigabytes_per_second": round(1e-9 * bytes_, 1),
        }  # fmt: skip
        return cls(at.device.type, note, records, failures)

    def markdown(self) -> str:
        """The section of the page."""
        parts = [f"## Measured: {self.kind}", self._origin()]
        if len(self.records):
            parts += ["### Goals", self._goals()]
            if self.records["axis"].any():
                alt = f"Cost against history, corpus, epoch and processes, {self.kind}"
                parts += [f"![{alt}](benchmarks/{self.kind}.png)"]
            for subject, rows in self.records.groupby("subject", sort=False):
                parts += [f"### {HEADINGS[str(subject)]}", *_tables(rows)]
        parts += [f"Without figures: {line}" for line in self.failures]
        return "\n\n".join(part.strip() for part in parts)

    def _origin(self) -> str:
        note = self.note
        before = "**A quick run, whose figures mean nothing.** " if note["quick"] else ""
        threads = f"{note['threads']} thread{'s' * (note['threads'] > 1)} unless said"
        return (
            f"{before}`{note['command']}`, commit {note['commit']}, {note['date']}: "
            f"{note['device']}, {note['cores']} cores, {threads}, torch {note['torch']}; load at "
            f"the end {note['load'][0]}. A matrix product runs at {note['gigaflops']:g} GFLOP/s, "
            f"a copy at {note['gigabytes_per_second']:g} GB/s. Cells are medians of ratios to the "
            "first line, in brackets their quartiles."
        )

    def _goals(self) -> str:
        rows = [
            {
                "goal": str(goal),
                "measured": f"{value:.3g}",
                "floor": f"{floor:.2g}" if floor == floor else "",
                "": "reached" if value <= goal.most else f"**missed**, {value / goal.most:.2g} ×",
            }
            for goal, value, floor in goals.reached(self.records)
        ]
        if not rows:
            return "None of them can be told from these rows."
        return table(DataFrame(rows), right=("measured", "floor"))


def _tables(records: DataFrame) -> Iterator[str]:
    """One of each job."""
    for (job, axis), rows in records.groupby(["job", "axis"], sort=False):
        own = [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
        threads = int(own[0]["threads"])
        title = f"**{job}**, {threads} thread{'s' * (threads > 1)}"
        if axis:
            yield f"{title}, by {axis}\n\n{_by_case(own)}"
        else:
            yield f"{title}\n\n{_single(own)}"


def _single(rows: list[dict[str, Any]]) -> str:
    """Time, ratio, and the rate where items are counted."""
    of = rows[0]["of"]
    cells = []
    for row in rows:
        rate = f"{row['items'] / row['seconds']:,.4g}" if row["seconds"] == row["seconds"] else ""
        cells.append({
            "by": row['by'], "time": _time(row['seconds']), "ratio": _ratio(row),
            **({f"{of} / s": rate} if of else {}),
        })  # fmt: skip
    frame = DataFrame(cells)
    return table(frame, right=tuple(name for name in frame if name != "by"))


def _by_case(rows: list[dict[str, Any]]) -> str:
    """A column for each case; the first line tells the time."""
    cells: dict[str, dict[str, str]] = {}
    first = rows[0]["by"]
    for row in rows:
        text = _time(row["seconds"]) if row["by"] == first else _ratio(row)
        cells.setdefault(str(row["by"]), {})[f"{row['case']:,}"] = text
    frame = DataFrame([{"by": by, **own} for by, own in cells.items()]).fillna("")
    return table(frame, right=tuple(name for name in frame if name != "by"))


def _time(seconds: float) -> str:
    if seconds != seconds:
        return "not installed"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] != row["ratio"]:
        return "not installed"
    if row["by"] == "floor":
        return f"{row['ratio']:.2g}"
    return f"{row['ratio']:.3g} ({row['ratio_low']:.3g}–{row['ratio_high']:.3g})"


def write(results: Results, output: Path) -> Path:
    """Put them into benchmarks.md, and beside it the records and the picture."""
    place = output / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    records = json.loads(results.records.to_json(orient="records", double_precision=10))
    content = {**results.note, "failures": results.failures, "records": records}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_whole(place / f"{results.kind}.json", text.encode())
    if len(results.records) and results.records["axis"].any():
        picture.draw(results.records, results.note, place / results.kind)
    page = output / PAGE
    before = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    write_whole(page, _inserted(before, results.kind, results.markdown()).encode())
    return page


def _inserted(page: str, kind: str, section: str) -> str:
    """The page with the section between its marks, at the end where it has none yet."""
    begin, end = f"<!-- {kind}: written by python -m benchmarks -->", f"<!-- end of {kind} -->"
    whole = f"{begin}\n\n{section}\n\n{end}"
    marks = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if marks.search(page):
        return marks.sub(lambda _: whole, page)
    return f"{page.rstrip()}\n\n{whole}\n"
