"""What a user waits for at the start: the commands' own start, and the figures."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, Settings, Work, rows

ROOT = Path(__file__).resolve().parents[1]


@rows("cpu")
def start(at: Settings) -> Iterator[Row]:
    """``--help`` beside the import of torch, in a process each."""
    for script in ("train.py", "evaluate.py", "separate.py")[: at.of(3, 1)]:
        yield Row(
            f"python {script} --help",
            {
                "`import torch`": python("-c", "import torch"),
                f"ours, `{script} --help`": python(str(ROOT / script), "--help"),
            },
            parts=frozenset({"`import torch`"}),
            outcome=lambda _: [],
            least=at.of(5, 1),
        )


@rows("cpu")
def figures(at: Settings) -> Iterator[Row]:
    """All that `make figures` draws, on all cores."""
    if at.quick:
        return
    output = at.folder / "figures"

    def draw() -> None:
        for script in ("scripts/draw_figures.py", "recipes/alrc_supersampling/draw.py"):
            python(str(ROOT / script), f"output={output}", threads=0)()

    yield Row("make figures", {"ours": draw}, least=1)


def python(*words: str, threads: int = 1) -> Work:
    """A Python process, to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)

    def call() -> None:
        subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, check=True, capture_output=True
        )

    return call
