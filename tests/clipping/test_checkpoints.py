"""Clippers in checkpoints of torch.distributed.checkpoint, which needs sizes to be as saved."""

import torch
import torch.distributed.checkpoint as dcp

from autoclip_sep.clipping import AutoClip
from tests.clipping.loops import network, numbers, train


def started(make_clipper):
    """Model, optimizer, clipper."""
    model = network()
    return model, torch.optim.Adam(model.parameters(), lr=0.01), make_clipper()


def go_on(parts, *steps):
    model, optimizer, clipper = parts
    return train(model, clipper, optimizer, range(*steps))


def beside(parts):
    model, optimizer, clipper = parts
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "clipper": clipper}


def test_a_clipper_is_stateful(clipper):
    assert isinstance(clipper, dcp.stateful.Stateful)


def test_comes_back_into_a_fresh_clipper_and_rolls_back_a_longer_one(make_clipper, tmp_path):
    parts, fresh = started(make_clipper), make_clipper()
    go_on(parts, 20)
    dcp.save(beside(parts), checkpoint_id=tmp_path / "all")
    dcp.save({"clipper": parts[2]}, checkpoint_id=tmp_path / "alone")
    kept, weights = parts[2].state_dict(), parts[0][0].weight.clone()
    wanted = go_on(parts, 20, 40)

    dcp.load({"clipper": fresh}, checkpoint_id=tmp_path / "alone")
    assert fresh.state_dict() == kept

    state = beside(parts)
    dcp.load(state, checkpoint_id=tmp_path / "all")  # in place
    parts[1].load_state_dict(state["optimizer"])
    assert torch.equal(parts[0][0].weight, weights)
    assert parts[2].state_dict() == kept
    assert go_on(parts, 20, 40) == wanted


def test_a_state_of_before_any_step_comes_back_too(make_clipper, tmp_path):
    dcp.save({"clipper": make_clipper()}, checkpoint_id=tmp_path)
    parts = started(make_clipper)
    go_on(parts, 20)
    dcp.load({"clipper": parts[2]}, checkpoint_id=tmp_path)
    assert parts[2].state_dict() == make_clipper().state_dict()


def test_a_norm_takes_eight_bytes_or_a_few_more(tmp_path):
    clipper, other = AutoClip(), AutoClip()
    entries = 1 + torch.rand(300_000, dtype=torch.float64)
    clipper.load_state_dict({**clipper.state_dict(), "history": entries})
    dcp.save({"clipper": clipper}, checkpoint_id=tmp_path / "dcp")
    dcp.load({"clipper": other}, checkpoint_id=tmp_path / "dcp")
    torch.save(clipper.state_dict(), tmp_path / "plain.pt")
    files = [tmp_path / "plain.pt", *(tmp_path / "dcp").glob("*.distcp")]
    assert all(file.stat().st_size < 13 * len(entries) for file in files)
    assert torch.equal(other.history, entries)


def test_tensors_of_older_states_are_still_read(make_clipper):
    """Rows of numbers were tensors, and zeros weren't counted."""
    parts = started(make_clipper)
    go_on(parts, 20)
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
