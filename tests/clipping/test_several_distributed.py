"""Several optimizers, and SAM, in two processes take the steps of one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

if not torch.distributed.is_available():
    pytest.skip("this torch has no torch.distributed", allow_module_level=True)

from tests.clipping.several_in_two_processes import run

SCRIPT = Path(__file__).with_name("several_in_two_processes.py")


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_equal_one(mode, tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), mode, str(rank), str(tmp_path)],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(SCRIPT.parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank in ranks:
            output, _ = rank.communicate(timeout=120)
            assert rank.returncode == 0, output
    finally:
        for rank in ranks:
            rank.kill()
    one, other = (torch.load(tmp_path / f"{mode}-{rank}.pt") for rank in range(2))
    for kind in ("several", "SAM"):
        expected = run(kind)
        assert torch.equal(one[kind]["weights"], other[kind]["weights"])
        torch.testing.assert_close(one[kind]["weights"], expected["weights"])
        for key, value in expected["state"].items():
            torch.testing.assert_close(one[kind]["state"][key], value, msg=key)
        assert (expected["state"]["steps"], expected["state"]["skipped"]) == (12, 1)
