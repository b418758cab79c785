"""scripts/gpu_check.sh on a CPU: what it brings back, and that failures are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.commands import ROOT


def check(out: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(out), **settings}
    command = ["bash", str(ROOT / "scripts" / "gpu_check.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_without_a_gpu_nothing_is_begun(tmp_path: Path) -> None:
    done = check(tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("torch finds no GPU here; DEVICE=cpu QUICK=1")


def test_the_dynamics_bring_back_records_and_pictures(tmp_path: Path) -> None:
    done = check(tmp_path, DEVICE="cpu", QUICK="1", PARTS="dynamics", LIMIT="300")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dynamics: 4 runs" in done.stdout
    records = list((tmp_path / "runs").rglob("dynamics.csv"))
    assert len(records) == 4
    assert all(len(path.read_text().splitlines()) > 2 for path in records)
    assert list((tmp_path / "figures").rglob("*.png"))
    assert not list(tmp_path.rglob("*.pt"))


def test_a_part_that_fails_is_named(tmp_path: Path) -> None:
    done = check(tmp_path, DEVICE="cpu", QUICK="1", PARTS="bench", LIMIT="3")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "failed: bench"
