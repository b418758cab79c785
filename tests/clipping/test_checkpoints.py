"""Clippers in checkpoints of torch.distributed.checkpoint, which wants sizes to be as saved."""

import pytest
import torch
import torch.distributed.checkpoint as dcp

from autoclip_sep.clipping import AutoClip, Clipper
from tests.clipping.states import numbers
from tests.clipping.test_contract import network, train, weights
from tests.clipping.test_distributed import SCRIPT
from tests.ranks import gathered


def started(make_clipper):
    """Model, optimizer, clipper."""
    model = network()
    return model, torch.optim.Adam(model.parameters(), lr=0.01), make_clipper()


def go_on(parts, seed, steps):
    model, optimizer, clipper = parts
    return train(model, clipper, optimizer, torch.Generator().manual_seed(seed), steps)


def beside(parts):
    model, optimizer, clipper = parts
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "clipper": clipper}


def test_a_clipper_is_stateful(clipper):
    assert isinstance(clipper, dcp.stateful.Stateful)


def test_comes_back_into_a_fresh_clipper_and_rolls_back_a_longer_one(make_clipper, tmp_path):
    first = started(make_clipper)
    go_on(first, 1, 20)
    dcp.save(beside(first), checkpoint_id=tmp_path / "all")
    dcp.save({"clipper": first[2]}, checkpoint_id=tmp_path / "alone")
    kept = first[2].state_dict()
    model = {key: value.clone() for key, value in first[0].state_dict().items()}
    wanted = go_on(first, 2, 30)

    fresh = make_clipper()
    dcp.load({"clipper": fresh}, checkpoint_id=tmp_path / "alone")
    assert fresh.state_dict() == kept

    go_on(first, 3, 10)
    state = beside(first)
    dcp.load(state, checkpoint_id=tmp_path / "all")  # in place
    first[1].load_state_dict(state["optimizer"])
    assert all(torch.equal(first[0].state_dict()[key], value) for key, value in model.items())
    assert first[2].state_dict() == kept
    assert go_on(first, 2, 30) == wanted


def test_a_state_of_before_any_step_comes_back_too(make_clipper, tmp_path):
    dcp.save({"clipper": make_clipper()}, checkpoint_id=tmp_path)
    parts = started(make_clipper)
    go_on(parts, 1, 20)
    dcp.load({"clipper": parts[2]}, checkpoint_id=tmp_path)
    assert parts[2].state_dict() == make_clipper().state_dict()


@pytest.mark.parametrize("world", [1, 2])
def test_each_process_of_fsdp2_gets_its_clipper_back(world, tmp_path):
    ranks = gathered(SCRIPT, "dcp", world, tmp_path)
    for name, wanted in ranks[0].items():
        for found in (rank[name] for rank in ranks):
            assert found["saved"] == found["back"] == found["fresh"] == wanted["saved"]
            assert torch.equal(*found["futures"])
        assert len(ranks[0]["autoclip"]["saved"]["history"]) == 10


def test_a_million_norms_take_eight_megabytes(tmp_path):
    clipper, other = AutoClip(), AutoClip()
    entries = 1 + torch.rand(1_000_000, dtype=torch.float64)
    clipper.load_state_dict({**clipper.state_dict(), "history": entries})
    dcp.save({"clipper": clipper}, checkpoint_id=tmp_path / "dcp")
    dcp.load({"clipper": other}, checkpoint_id=tmp_path / "dcp")
    torch.save(clipper.state_dict(), tmp_path / "plain.pt")
    files = [tmp_path / "plain.pt", *(tmp_path / "dcp").glob("*.distcp")]
    assert all(file.stat().st_size < 13e6 for file in files)
    assert torch.equal(other.history, entries)


def test_tensors_of_older_states_are_still_read(make_clipper):
    """Rows of numbers were tensors, and zeros weren't counted."""
    parts = started(make_clipper)
    go_on(parts, 1, 20)
    state = parts[2].state_dict()

    def older(key, value):
        if key.endswith(("history", "means", "first", "moments")):
            return numbers(value)
        if key.endswith("lengths"):
            return torch.tensor(value)
        return 1 if key.endswith("version") else value

    old = {k: older(k, v) for k, v in state.items() if not k.endswith("zeros")}
    again = make_clipper()
    again.load_state_dict(old)
    assert again.state_dict() == state
    assert isinstance(again, Clipper)
    assert torch.isfinite(weights(parts[0])).all()
