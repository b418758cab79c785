"""Two processes record what one process with the whole batch records, and train the same bits."""

from functools import cache
from pathlib import Path

import pytest
import torch

from autoclip_sep.dynamics import COLUMNS
from tests.ranks import gathered

if not torch.distributed.is_available():
    pytest.skip("this torch has no torch.distributed", allow_module_level=True)

from tests.dynamics.two_processes import BAD_STEP, RUNS, STEPS, WAYS, run

SCRIPT = Path(__file__).with_name("two_processes.py")
LOSS = COLUMNS.index("loss")
single = cache(run)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes has saved, of all runs."""
    return gathered(SCRIPT, "all", 2, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize(("mode", "way"), RUNS)
def test_rows_and_weights_are_those_of_one_process(ranks, mode, way):
    wanted = single("single", way if way in WAYS else "plain")
    known = [n for n in range(len(COLUMNS)) if n != LOSS or mode == "average" or way == "clipped"]
    for rank in ranks:
        found = rank[mode, way]
        torch.testing.assert_close(
            found["rows"][:, known], wanted["rows"][:, known], rtol=1e-8, atol=0, equal_nan=True
        )
        torch.testing.assert_close(found["weights"], wanted["weights"], rtol=1e-10, atol=1e-12)
        assert found["calls"] == wanted["calls"]


@pytest.mark.parametrize(("mode", "way"), RUNS)
def test_recording_changes_no_bit(ranks, mode, way):
    for rank in ranks:
        assert torch.equal(rank[mode, way]["weights"], rank[mode, way]["unrecorded"])


@pytest.mark.parametrize("way", WAYS)
def test_recording_changes_no_bit_of_one_process(way):
    unrecorded = run("single", way, every=1000)
    assert torch.equal(single("single", way)["weights"], unrecorded["weights"])


def test_the_steps_have_a_smoothness_but_for_the_skipped_one():
    smoothness = single("single", "plain")["rows"][:, COLUMNS.index("smoothness")]
    assert smoothness.isnan().tolist() == [step == BAD_STEP for step in range(1, STEPS + 1)]
    assert bool((smoothness.nan_to_num(1) > 0.1).all())


def test_a_closure_that_fails_ends_the_run_rather_than_leave_processes_out_of_step(ranks):
    assert [rank["failure"] for rank in ranks] == ["on rank 0", "on rank 1"]
