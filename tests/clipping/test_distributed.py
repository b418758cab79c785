"""Two processes, by DDP and by FSDP2, take the same steps as one process with the whole batch."""

from pathlib import Path

import pytest
import torch

from tests.clipping.states import numbers
from tests.ranks import gathered

SCRIPT = Path(__file__).with_name("two_processes.py")
GRADIENTS = [
    "none",
    "norm",
    "value",
    "local_norm",
    "autoclip",
    "autoclip of each parameter",
    "agc",
    "zclip",
    "adagc",
]
PROTOCOL = [*GRADIENTS, "alrc", "combined"]
LONG = ("autoclip", "1000 steps")
RUNS = [
    *[(name, "protocol") for name in PROTOCOL],
    *[(name, "attached") for name in GRADIENTS],
    *[(name, "step") for name in ("none", "norm", "autoclip")],
]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return gathered(SCRIPT, "single", 1, tmp_path_factory.mktemp("single"))[0]


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def ranks(request, tmp_path_factory):
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    return gathered(SCRIPT, request.param, 2, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("run", RUNS, ids=" ".join)
def test_two_processes_equal_one(single, ranks, run):
    wanted = single[run]
    for rank in ranks:
        found = rank[run]
        assert found["applied"] == wanted["applied"] == 29  # one of 30 batches is bad on one rank
        torch.testing.assert_close(
            found["results"], wanted["results"], rtol=1e-10, atol=1e-12, equal_nan=True
        )
        torch.testing.assert_close(found["weights"], wanted["weights"], rtol=1e-10, atol=1e-12)
        assert found["state"].keys() == wanted["state"].keys()
        for key, value in wanted["state"].items():
            torch.testing.assert_close(
                numbers(found["state"][key]), numbers(value), rtol=1e-10, atol=1e-12
            )


def test_one_bad_batch_in_a_thousand_on_one_rank_costs_one_step(single, ranks):
    wanted = single[LONG]
    for found in (wanted, *(rank[LONG] for rank in ranks)):
        assert found["applied"] == 999
        history = numbers(found["state"]["history"])
        assert len(history) == 999
        assert (found["state"]["steps"], found["state"]["skipped"]) == (1000, 1)
        assert torch.isfinite(history).all()
        assert torch.isfinite(found["weights"]).all()
        torch.testing.assert_close(found["weights"], wanted["weights"], rtol=1e-8, atol=1e-10)
        wanted_history = numbers(wanted["state"]["history"])
        torch.testing.assert_close(history, wanted_history, rtol=1e-8, atol=0)
    assert 100 < wanted["state"]["clipped"] < 999


@pytest.mark.parametrize("run", [*RUNS, LONG], ids=" ".join)
def test_both_ranks_agree_to_the_bit(ranks, run):
    one, other = (rank[run] for rank in ranks)
    assert torch.equal(one["weights"], other["weights"])
    assert torch.equal(one["results"].nan_to_num(), other["results"].nan_to_num())
    assert one["state"] == other["state"]


@pytest.mark.parametrize("name", ["norm", "value", "local_norm", "autoclip", "agc", "alrc"])
def test_the_comparison_is_of_runs_that_clip(single, name):
    assert single[name, "protocol"]["state"]["clipped"] > 5
    weights = single[name, "protocol"]["weights"]
    assert not torch.equal(weights, single["none", "protocol"]["weights"])
