"""Several optimizers, and SAM, in two processes take the steps of one with the whole batch."""

from pathlib import Path

import pytest
import torch

if not torch.distributed.is_available():
    pytest.skip("this torch has no torch.distributed", allow_module_level=True)

from tests.clipping.several_in_two_processes import run
from tests.ranks import gathered

SCRIPT = Path(__file__).with_name("several_in_two_processes.py")


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_equal_one(mode, tmp_path):
    one, other = gathered(SCRIPT, mode, 2, tmp_path)
    for kind in ("several", "SAM"):
        expected = run(kind)
        assert torch.equal(one[kind]["weights"], other[kind]["weights"])
        torch.testing.assert_close(one[kind]["weights"], expected["weights"])
        for key, value in expected["state"].items():
            torch.testing.assert_close(one[kind]["state"][key], value, msg=key)
        assert (expected["state"]["steps"], expected["state"]["skipped"]) == (12, 1)
