"""Two processes record what one process with the whole batch records, and train the same bits."""

from pathlib import Path

import pytest
import torch

from autoclip_sep.dynamics import COLUMNS
from tests.ranks import gathered

SCRIPT = Path(__file__).with_name("two_processes.py")
LOSS = COLUMNS.index("loss")
WAYS = ("plain", "accumulated", "reentrant", "not reentrant", "clipped")
RUNS = [
    *[(mode, way) for mode in ("ddp", "fsdp", "average") for way in WAYS],
    ("ddp", "bucket views"),
    ("ddp", "static graph"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What every rank of a mode has saved, each mode run once."""
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    done = {}

    def run(mode):
        if mode not in done:
            done[mode] = gathered(
                SCRIPT, mode, 1 if mode == "single" else 2, tmp_path_factory.mktemp(mode)
            )
        return done[mode]

    return run


@pytest.mark.parametrize(("mode", "way"), RUNS)
def test_rows_and_weights_are_those_of_one_process(run, mode, way):
    (single,) = run("single")
    wanted = single.get(way, single["plain"])
    known = [n for n in range(len(COLUMNS)) if n != LOSS or mode == "average" or way == "clipped"]
    for rank in run(mode):
        found = rank[way]
        torch.testing.assert_close(
            found["rows"][:, known], wanted["rows"][:, known], rtol=1e-8, atol=0, equal_nan=True
        )
        torch.testing.assert_close(found["weights"], wanted["weights"], rtol=1e-10, atol=1e-12)
        assert found["calls"] == wanted["calls"]


@pytest.mark.parametrize(("mode", "way"), [("single", way) for way in WAYS] + RUNS)
def test_recording_changes_no_bit(run, mode, way):
    for rank in run(mode):
        assert torch.equal(rank[way]["weights"], rank[way, "unrecorded"])


def test_the_steps_have_a_smoothness_but_for_the_skipped_one(run):
    smoothness = run("single")[0]["plain"]["rows"][:, COLUMNS.index("smoothness")]
    assert smoothness.isnan().tolist() == [step == 5 for step in range(1, 9)]
    assert bool((smoothness.nan_to_num(1) > 0.1).all())


def test_a_closure_that_fails_ends_the_run_rather_than_leave_processes_out_of_step(run):
    assert [rank["fails"] for rank in run("ddp")] == ["on rank 0", "on rank 1"]
