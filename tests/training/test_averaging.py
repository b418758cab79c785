"""Averaged weights: the closed form, exact resume, a best checkpoint and a table of their own."""

import math

import pytest
import torch

from autoclip_sep.runs import checkpoint, records
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.training.small_runs import Stop, crash, everything, trainer

DECAY = 0.7


def averaged(directory, store, **how):
    return trainer(directory, store, ema_decay=DECAY, **how)


def test_the_average_is_exponential_and_changes_nothing_else(tmp_path, tiny_store, assert_same):
    run, weights = averaged(tmp_path / "on", tiny_store, probe_points=0), []

    def note(*_):
        weights.append([p.detach().double().clone() for p in run.parts.model.parameters()])

    run.parts.optimizer.register_step_post_hook(note)
    run.fit()
    expected = weights[0]
    for now in weights[1:]:
        expected = [DECAY * e + (1 - DECAY) * w for e, w in zip(expected, now, strict=True)]
    state, files = everything(tmp_path / "on")
    average = state.pop("average")
    assert average["updates"] == len(weights) == 9
    names = [name for name, _ in run.parts.model.named_parameters()]
    for name, value in zip(names, expected, strict=True):
        torch.testing.assert_close(average["weights"][name].double(), value, atol=1e-6, rtol=1e-4)
        assert not torch.equal(average["weights"][name], state["model"][name])
    for name, buffer in run.parts.model.named_buffers():
        assert torch.equal(average["weights"].get(name, buffer), buffer), name
    trainer(tmp_path / "off", tiny_store, probe_points=0).fit()
    assert_same(everything(tmp_path / "off"), (state, files))


def test_a_skipped_step_is_not_averaged(tmp_path, tiny_store):
    run = averaged(
        tmp_path, tiny_store, at=9, action=lambda loss: loss * math.nan, probe_points=0
    )  # fmt: skip
    run.fit()
    assert everything(tmp_path)[0]["average"]["updates"] == 8


def test_the_best_average_has_its_own_row_and_checkpoint(tmp_path, tiny_store, monkeypatch):
    """Losses of weights, average, weights, ...: of the average the second validation is best."""
    scores = iter([3.0, 5.0, 2.0, 1.0, 1.5, 4.0])
    given = []

    def validate(model, *_, **__):
        given.append(model)
        return next(scores), 0.25

    monkeypatch.setattr("autoclip_sep.training.trainer.validate", validate)
    run = averaged(tmp_path, tiny_store)
    run.fit()
    assert given == [run.parts.model, run.average.model] * 3
    rows = records.read(tmp_path / "ema.csv")
    assert [(row["epoch"], row["step"], row["valid_loss"]) for row in rows] == [
        ("1", "3", "5.0"), ("2", "6", "1.0"), ("3", "9", "4.0"),
    ]  # fmt: skip
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert [path.name for path in folder.paths("ema")][-1] == "ema-000000006-00002.pt"
    assert [path.name for path in folder.paths("best")][-1] == "best-000000009-00003.pt"


def test_validation_is_that_of_the_averaged_weights(tmp_path, tiny_store):
    run = averaged(tmp_path, tiny_store, epochs=2)
    run.fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    saved = checkpoint.load(folder.paths("ema")[-1])["model"]
    assert saved.keys() == run.parts.model.state_dict().keys()
    other = trainer(tmp_path / "other", tiny_store)
    other.parts.model.load_state_dict(saved)
    best = min(records.read(tmp_path / "ema.csv"), key=lambda row: float(row["valid_loss"]))
    assert other._scores(other.parts.model)[0] == float(best["valid_loss"])


@pytest.mark.parametrize("at", [1, 6, 9])
def test_resume_is_exact(tmp_path, tiny_store, at, assert_same):
    averaged(tmp_path / "straight", tiny_store, probe_points=0).fit()
    run = tmp_path / "run"
    how = {"checkpoint_every": 2, "probe_points": 0}
    with pytest.raises(Stop):
        averaged(run, tiny_store, at=at, action=crash, **how).fit()
    averaged(run, tiny_store, **how).fit()
    assert_same(everything(tmp_path / "straight"), everything(run))
    assert (run / "ema.csv").read_bytes() == (tmp_path / "straight" / "ema.csv").read_bytes()
