"""The batches of training and validation where few are to be overfitted."""

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from tests.training.small_runs import Stop, crash, everything, trainer

SMOOTH = {"dropout": 0.0, "batch_norm": False}


def test_one_batch_again_and_again_is_learnt_and_validated(tmp_path, tiny_store):
    run = trainer(
        tmp_path, tiny_store, overfit_batches=1, epochs=30, record_every=1, network=SMOOTH,
        probe_points=0,
    )  # fmt: skip
    (first,), (later,) = run.loader.epoch(1), run.loader.epoch(7)
    assert first.items == later.items
    assert (first.mixture == later.mixture).all()
    run.fit()
    losses = [float(row["loss"]) for row in records.read(tmp_path / "dynamics.csv")]
    rows = records.read(tmp_path / "history.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 31))
    assert losses[-1] < 0.6 * losses[0]
    # What is validated is that batch, whose loss the next step begins with.
    for row, loss in zip(rows, losses[1:], strict=False):
        assert float(row["valid_loss"]) == pytest.approx(loss, rel=1e-4)


def test_two_batches_with_resume(tmp_path, tiny_store, assert_same):
    how = {"overfit_batches": 2, "probe_points": 0, "checkpoint_every": 1, "accumulate": 2}
    trainer(tmp_path / "straight", tiny_store, **how).fit()
    with pytest.raises(Stop):
        trainer(tmp_path / "run", tiny_store, at=6, action=crash, **how).fit()
    trainer(tmp_path / "run", tiny_store, **how).fit()
    assert_same(everything(tmp_path / "straight"), everything(tmp_path / "run"))
    assert everything(tmp_path / "run")[0]["recorder"]["steps"] == 6


def test_more_batches_than_there_are_are_refused(tmp_path, tiny_store):
    with pytest.raises(InputError, match="overfit_batches=4: an epoch has 3 batches"):
        trainer(tmp_path, tiny_store, overfit_batches=4)
