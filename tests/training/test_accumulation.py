"""Micro-batches: the trajectory of the whole batch, one history entry a step, exact resume."""

import math
from functools import partial

import pytest
import torch

from autoclip_sep.clipping import (
    AGC,
    ALRC,
    AutoClip,
    Combined,
    LocalNormClipping,
    NoClipping,
    NormClipping,
    ValueClipping,
)
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from autoclip_sep.training import micro_batches
from autoclip_sep.training.settings import Settings
from autoclip_sep.types import Batch
from tests.clipping.conftest import CLIPPERS as EVERY
from tests.training.small_runs import CLIPPERS, Stop, crash, everything, trainer

# Dropout and BatchNorm depend on how a batch is divided.
SMOOTH = {"dropout": 0.0, "batch_norm": False}
NEVER = {"none", "shadow", "autoclip_p100"}
FIRM = partial(ALRC, 0.5, mean=1e-3, mean_square=2e-6)
TIGHT = {  # such that they clip in these few steps
    "norm_0.5": partial(NormClipping, 1e-4),
    "value_0.1": partial(ValueClipping, 1e-5),
    "local_norm_0.2": partial(LocalNormClipping, 1e-4),
    "autoclip_p10_warmup7": partial(AutoClip, warmup=2),
    "agc_0.1": partial(AGC, 1e-4),
    "alrc_n0.5": FIRM,
    "alrc_n0.5_autoclip_p10": lambda: Combined(FIRM(), AutoClip()),
}
OFF = torch.amp.GradScaler("cpu", enabled=False)


@pytest.mark.parametrize("clipper", EVERY)
def test_micro_batches_give_the_whole_batchs_trajectory(tmp_path, tiny_store, clipper):
    states, tables = [], []
    for parts in (1, 4):
        run = tmp_path / str(parts)
        settings = {"epochs": 2, "record_every": 1, "network": SMOOTH, "accumulate": parts}
        trainer(run, tiny_store, TIGHT.get(clipper, clipper), **settings).fit()
        states.append(everything(run)[0])
        tables.append([records.read(run / f"{name}.csv") for name in ("dynamics", "history")])
    columns = ("loss", "grad_norm", "threshold", "scale", "step_norm", "smoothness")
    more = ("train_loss", "valid_loss", "valid_si_sdr", "clipped_share", "step", "skipped")
    for whole, divided, names in zip(*tables, (columns, more), strict=True):
        assert len(whole) == len(divided)
        for one, other in zip(whole, divided, strict=True):
            for name in names:
                assert float(other[name]) == pytest.approx(float(one[name]), rel=2e-3), name
    for state in states:
        assert state["clipper"]["steps"] == len(state["spikes"]["norms"]) == 6
        assert (state["clipper"]["clipped"] > 0) is (clipper not in NEVER)


def batch_of(count):
    mixture = torch.arange(1.0, count + 1).reshape(count, 1, 1)
    return Batch(mixture, mixture, torch.ones(count, dtype=torch.int64), tuple("abcdefgh")[:count])


@pytest.mark.parametrize("make", [NoClipping, lambda: ALRC(0.5, mean=2.0, mean_square=5.0)])
def test_a_gradient_is_the_mean_over_all_clipped_losses(make):
    """Losses w * x for x = 1 .. 8: the closed form is the mean of x, clipped ones weighed less."""
    weight, sizes = torch.nn.Parameter(torch.ones(())), []

    def losses_of(part):
        sizes.append(len(part.items))
        return weight * part.mixture.flatten()

    clipper, x = make(), torch.arange(1.0, 9.0)
    parts = micro_batches.split(batch_of(8), 4)
    assert [part.items for part in parts] == [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]
    losses = micro_batches.backward(losses_of, parts, clipper, OFF, torch.nn.Identity())
    assert torch.equal(losses, x)
    # h = 2 + 0.5 * sqrt(5 - 4) = 2.5; above it the gradient is multiplied by h / L.
    expected = torch.where(x > 2.5, 2.5, x) if clipper.clips_loss else x
    assert float(weight.grad) == pytest.approx(float(expected.mean()))
    assert max(sizes) == 2
    if clipper.clips_loss:  # moments have moved once, by the mean of all
        moved = 0.999 * 2.0 + 0.001 * float(expected.mean())
        assert clipper.state_dict()["moments"][0] == pytest.approx(moved)


@pytest.mark.parametrize("clipper", CLIPPERS)
def test_the_smoothness_is_that_of_all_micro_batches_with_dropout_too(
    tmp_path, tiny_store, clipper, caplog
):
    """The recorder refuses a closure whose loss or gradient isn't the observed one."""
    network = {"dropout": 0.5}
    trainer(
        tmp_path / "on", tiny_store, clipper, accumulate=2, record_every=1, network=network
    ).fit()
    rows = records.read(tmp_path / "on" / "dynamics.csv")
    assert all(float(row["smoothness"]) > 0 for row in rows)
    assert not [record for record in caplog.records if "closure" in record.message]


@pytest.mark.parametrize("clipper", CLIPPERS)
def test_recording_changes_no_bit(tmp_path, tiny_store, clipper, assert_same):
    network = {"dropout": 0.5}
    for name, every in (("on", 1), ("off", 1000)):
        settings = {"accumulate": 2, "record_every": every, "network": network}
        trainer(tmp_path / name, tiny_store, clipper, **settings).fit()
    on, off = (everything(tmp_path / name)[0] for name in ("on", "off"))
    for key in ("model", "clipper", "random"):
        assert_same(on[key], off[key])


@pytest.mark.parametrize("clipper", EVERY)
def test_resume_is_exact(tmp_path, tiny_store, straight, clipper, assert_same):
    settings = {"accumulate": 2, "probe_points": 0}
    run = tmp_path / "run"
    with pytest.raises(Stop):  # in the second micro-batch of the fifth step
        trainer(run, tiny_store, clipper, checkpoint_every=2, at=10, action=crash, **settings).fit()
    trainer(run, tiny_store, clipper, **settings).fit()
    assert_same(everything(straight(clipper, **settings)), everything(run))


@pytest.mark.parametrize("clipper", EVERY)
def test_a_bad_micro_batch_makes_a_bad_step(tmp_path, tiny_store, clipper):
    trainer(
        tmp_path, tiny_store, clipper, at=3, action=lambda loss: loss * math.nan, accumulate=2,
        probe_points=0, epochs=1,
    ).fit()  # fmt: skip
    state, _ = everything(tmp_path)
    assert state["recorder"]["skipped"] == state["clipper"]["skipped"] == 1
    assert len(state["spikes"]["norms"]) == 2
    assert all(bool(value.isfinite().all()) for value in state["model"].values())


def test_no_more_than_a_micro_batch_is_ever_in_the_network(tmp_path, tiny_store):
    run, sizes = trainer(tmp_path, tiny_store, accumulate=4), set()
    run.parts.model.register_forward_pre_hook(lambda _, given: sizes.add(len(given[0].items)))
    run.fit()
    assert sizes == {1}


def test_what_cannot_be_divided_is_refused(tmp_path, tiny_store, monkeypatch):
    with pytest.raises(InputError, match=r"accumulate=3: trainer\.batch_size=16 is not divisible"):
        Settings(accumulate=3)
    monkeypatch.setattr("autoclip_sep.training.distributed.world", lambda: 2)
    with pytest.raises(InputError, match=r"batch_size=4: .* accumulate=4 .* 2 processes"):
        trainer(tmp_path, tiny_store, accumulate=4)
