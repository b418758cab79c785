"""float16 with a GradScaler: overflows are skipped, counted and forgotten by every history."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.half_precision import require_fp16
from tests.clipping.conftest import CLIPPERS as EVERY
from tests.training.small_runs import Stop, crash, everything, trainer

SCALE = 2.0**8  # small enough for the gradients of the tests' network from the first step on


def fp16(directory, store, **how):
    """A trainer of convolutions, which run in float16 on every CPU; LSTMs don't."""
    run = trainer(directory, store, network="conv_tasnet", precision="fp16", **how)
    run.scaler.load_state_dict({**run.scaler.state_dict(), "scale": SCALE})
    return run


def overflow(loss):
    """Finite, but not once it is scaled."""
    return loss * 1e37


def test_norms_are_those_of_unscaled_gradients(tmp_path, tiny_store):
    seen, tables = set(), []
    full = trainer(tmp_path / "fp32", tiny_store, network="conv_tasnet", record_every=1)
    half = fp16(tmp_path / "fp16", tiny_store, record_every=1)
    half.parts.model.network.encoder.register_forward_hook(lambda *given: seen.add(given[2].dtype))
    for run in (full, half):
        run.fit()
        tables.append(records.read(run.saved.directory / "dynamics.csv"))
    assert seen == {torch.float16, torch.float32}  # the latter in validations
    for name in ("loss", "grad_norm", "threshold", "step_norm", "smoothness"):
        one, other = ([float(row[name]) for row in rows] for rows in tables)
        assert other == pytest.approx(one, rel=0.1), name
        assert other != one


@pytest.mark.parametrize("clipper", [name for name in EVERY if not EVERY[name]().clips_loss])
def test_no_clipper_sees_the_scale(tmp_path, tiny_store, clipper):
    """Nor the overflow in the fourth step: clipped are the same gradients at any scale."""
    tables = []
    for scale in (2.0**6, 2.0**8):
        run = fp16(tmp_path / str(scale), tiny_store, clipper=clipper, record_every=1, at=4,
                   action=overflow, probe_points=0, epochs=2)  # fmt: skip
        run.scaler.load_state_dict({**run.scaler.state_dict(), "scale": scale})
        run.fit()
        state, _ = everything(tmp_path / str(scale))
        assert state["scaler"]["scale"] == scale / 2
        assert state["clipper"]["skipped"] == state["recorder"]["skipped"] == 1
        assert len(state["spikes"]["norms"]) == 5
        assert state["spikes"]["count"] == 0
        tables.append(records.read(tmp_path / str(scale) / "dynamics.csv"))
    for one, other in zip(*tables, strict=True):
        for name in ("grad_norm", "threshold", "scale", "step_norm"):
            numbers = float(other[name]), float(one[name])
            assert numbers[0] == pytest.approx(numbers[1], rel=0.05, nan_ok=True), name


def test_the_search_for_a_scale_ends_no_run_and_enters_no_history(tmp_path, tiny_store):
    """At torch's first scale 12 gradients in a row overflow here; a clipper alone stands 9."""
    run = trainer(
        tmp_path, tiny_store, network="conv_tasnet", precision="fp16", epochs=6,
    )  # fmt: skip
    factor = 2.0**6
    objective = run.parts.objective.objective
    run.parts.objective.objective = lambda *given: factor * objective(*given)
    run.fit()
    state, _ = everything(tmp_path)
    assert state["recorder"]["skipped"] == state["clipper"]["skipped"] > 10
    assert state["scaler"]["scale"] == 2.0 ** (16 - state["recorder"]["skipped"])
    assert len(state["clipper"]["history"]) == 18 - state["recorder"]["skipped"] > 0
    assert state["spikes"]["count"] == 0


def test_an_overflow_is_skipped_and_halves_the_scale(tmp_path, tiny_store):
    run = fp16(tmp_path, tiny_store, at=4, action=overflow, record_every=1, probe_points=0)
    run.fit()
    state, _ = everything(tmp_path)
    assert state["scaler"]["scale"] == run.scaler.get_scale() == SCALE / 2
    assert state["recorder"]["skipped"] == state["clipper"]["skipped"] == 1
    assert len(state["clipper"]["history"]) == len(state["spikes"]["norms"]) == 8
    assert all(map(math.isfinite, state["clipper"]["history"]))
    rows = records.read(tmp_path / "dynamics.csv")
    assert [float(row["step_norm"]) == 0 for row in rows] == [n == 3 for n in range(9)]
    assert [int(row["skipped"]) for row in rows] == [0, 0, 0, *[1] * 6]
    assert math.isfinite(float(records.read(tmp_path / "history.csv")[1]["train_loss"]))
    assert state["spikes"]["count"] == 0  # the scale is to blame, no example


def test_a_nan_loss_is_a_spike(tmp_path, tiny_store):
    def spoil(loss):
        return loss * math.nan

    fp16(tmp_path, tiny_store, at=4, action=spoil, probe_points=0).fit()
    state, _ = everything(tmp_path)
    assert state["recorder"]["skipped"] == state["spikes"]["count"] == 1


def test_recording_changes_no_bit(tmp_path, tiny_store, assert_same):
    for name, every in (("on", 1), ("off", 1000)):
        fp16(tmp_path / name, tiny_store, record_every=every).fit()
    on, off = (everything(tmp_path / name)[0] for name in ("on", "off"))
    for key in ("model", "clipper", "scaler"):
        assert_same(on[key], off[key])


@pytest.mark.parametrize("forgets", [False, True], ids=["", "negative control"])
def test_resume_is_exact(tmp_path, tiny_store, forgets, assert_same, monkeypatch):
    """After an overflow the scale isn't what it begins with."""

    def overflow_and_crash_later(loss):
        first.parts.objective.at, first.parts.objective.action = 6, crash
        return overflow(loss)

    how = {"at": 4, "probe_points": 0}
    fp16(tmp_path / "straight", tiny_store, action=overflow, **how).fit()
    run = tmp_path / "run"
    first = fp16(run, tiny_store, action=overflow_and_crash_later, checkpoint_every=1, **how)
    with pytest.raises(Stop):
        first.fit()
    second = fp16(run, tiny_store, probe_points=0)
    if forgets:
        monkeypatch.setattr(second.scaler, "load_state_dict", lambda state: None)
    second.fit()
    with pytest.raises(AssertionError) if forgets else nullcontext():
        assert_same(everything(tmp_path / "straight"), everything(run))


@pytest.mark.parametrize(
    ("key", "value"), [("scale", -1.0), ("scale", math.nan), ("growth_interval", 3)]
)
def test_an_impossible_scaler_is_refused(tmp_path, tiny_store, key, value):
    fp16(tmp_path, tiny_store, epochs=1).fit()
    folder = CheckpointFolder(tmp_path / "checkpoints")
    state, _ = folder.newest("last")
    state["scaler"][key] = value
    folder.save("last", 10, 1, state)
    with pytest.raises(InputError, match=f"scaler.{key}"):
        fp16(tmp_path, tiny_store).fit()


def test_an_lstm_trains_or_is_refused_where_the_processor_has_none(tmp_path, tiny_store):
    refusal = ""
    try:
        require_fp16(nn.LSTM(4, 3), torch.device("cpu"))
    except InputError as error:
        refusal = str(error)
    refused = pytest.raises(InputError, match="precision=fp16: this cpu has no LSTM in float16")
    with refused if refusal else nullcontext():
        trainer(tmp_path, tiny_store, epochs=1, precision="fp16").fit()
