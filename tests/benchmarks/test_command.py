"""`python -m benchmarks`: every row runs, its sides agree; page, JSON and picture are there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT

STARTS = ("commands", "scaling.world_size", "scaling.side_by_side")  # processes
REST = (
    "losses", "training", "clipping", "evaluation", "data", "scaling.corpus_size",
    "scaling.epochs",
)  # fmt: skip


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [REST, STARTS], ids=["rest", "starts"])
def test_every_row(rows: tuple[str, ...], tmp_path: Path) -> None:
    done = bench("quick=true", "device=cpu", f"rows={','.join(rows)}", f"output={tmp_path}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    written = json.loads((tmp_path / "benchmarks" / "cpu.json").read_text(encoding="utf-8"))
    assert written["failures"] == []
    assert written["command"].startswith("python -m benchmarks quick=true device=cpu rows=")
    assert {row["subject"] for row in written["records"]} == {r.partition(".")[0] for r in rows}
    ours = [row for row in written["records"] if "ours" in row["by"]]
    assert all(row["seconds"] > 0 and row["calls"] >= 1 for row in ours)
    missing = {row["by"] for row in written["records"] if not row["calls"]} - {"floor"}
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "figures mean nothing" in page
    assert all(row["job"] in page for row in written["records"])
    assert all(f"| {by} | not installed" in page for by in missing)
    assert (tmp_path / "benchmarks" / "cpu.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_told_in_one_line() -> None:
    for word, said in (
        ("rows=speed", "rows=speed: must be one of losses,"),
        ("device=tpu", "device must be auto, cpu or cuda, not 'tpu'"),
        ("threads=0", "threads=0: must be an integer from 1"),
    ):
        done = bench(word)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert said in line
    done = bench("quick=true", "output=docs")
    assert done.returncode == 2
    assert "figures mean nothing" in done.stderr
