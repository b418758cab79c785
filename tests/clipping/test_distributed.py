"""Two processes, by DDP and by FSDP2, take the same steps as one process with the whole batch."""

from functools import cache
from pathlib import Path

import pytest
import torch

from tests.clipping.loops import numbers
from tests.ranks import gathered

if not torch.distributed.is_available():
    pytest.skip("this torch has no torch.distributed", allow_module_level=True)

from tests.clipping.two_processes import BAD_STEP, CHECKPOINTED, RUNS, run

SCRIPT = Path(__file__).with_name("two_processes.py")
EACH_RUN = pytest.mark.parametrize(("name", "way"), RUNS)
MODES = pytest.mark.parametrize("mode", ["ddp", "fsdp"])
single = cache(run)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes has saved, of all runs."""
    return gathered(SCRIPT, "all", 2, tmp_path_factory.mktemp("ranks"))


@EACH_RUN
@MODES
def test_two_processes_equal_one(ranks, mode, name, way):
    wanted = single(name, way)
    close = {"rtol": 1e-10, "atol": 1e-12, "equal_nan": True}
    for rank in ranks:
        found = rank[mode, name, way]
        assert found["skipped"] == wanted["skipped"] == [BAD_STEP]  # is bad on one rank
        torch.testing.assert_close(found["results"], wanted["results"], **close)
        torch.testing.assert_close(found["weights"], wanted["weights"], **close)
        assert found["state"].keys() == wanted["state"].keys()
        for key, value in wanted["state"].items():
            torch.testing.assert_close(numbers(found["state"][key]), numbers(value), **close)


@EACH_RUN
@MODES
def test_both_ranks_agree_to_the_bit(ranks, mode, name, way):
    one, other = (rank[mode, name, way] for rank in ranks)
    assert torch.equal(one["weights"], other["weights"])
    assert torch.equal(one["results"].nan_to_num(), other["results"].nan_to_num())
    assert one["state"] == other["state"]


@pytest.mark.parametrize("name", ["norm", "value", "local_norm", "autoclip", "agc", "alrc"])
def test_the_comparison_is_of_runs_that_clip(name):
    assert single(name, "protocol")["state"]["clipped"] > 4
    weights = single(name, "protocol")["weights"]
    assert not torch.equal(weights, single("none", "protocol")["weights"])


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_each_process_of_fsdp2_gets_its_clipper_back_from_a_checkpoint(ranks, name):
    wanted = ranks[0]["dcp", name]["saved"]
    assert wanted["steps"] == 8
    for rank in ranks:
        found = rank["dcp", name]
        assert found["saved"] == found["back"] == found["fresh"] == wanted
        assert torch.equal(*found["futures"])
