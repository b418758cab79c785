"""A clipper warns, once, where it is used in a way that can't do what was meant."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

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


def weights():
    return [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))]


def clip(clipper, sizes):
    parameters = weights()
    for size in sizes:
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, size)
        clipper.clip_gradients(parameters)


TOO_HIGH = {
    "norm_100": lambda: NormClipping(100),
    "value_100": lambda: ValueClipping(100),
    "local_norm_100": lambda: LocalNormClipping(100),
    "agc_100": lambda: AGC(100),
}


@pytest.mark.parametrize("label", TOO_HIGH)
def test_a_fixed_setting_that_never_clips_is_reported_once(caplog, label):
    clipper = TOO_HIGH[label]()
    clip(clipper, [1.0] * 999)
    assert caplog.messages == []
    clip(clipper, [1.0] * 2001)
    (message,) = caplog.messages
    assert message.startswith(f"{label} clipped none of the first 1000 steps: lower the ")


@pytest.mark.parametrize("label", TOO_HIGH)
def test_one_clipped_step_shows_that_it_can(caplog, label):
    clipper = TOO_HIGH[label]()
    clip(clipper, [1.0] * 500 + [1e6] + [1.0] * 2500)
    assert caplog.messages == []
    assert clipper.clipped == 1


def test_what_was_clipped_before_a_resume_counts(caplog):
    clipper, resumed, other = (NormClipping(100) for _ in range(3))
    clip(clipper, [1e6])
    resumed.load_state_dict(clipper.state_dict())
    clip(resumed, [1.0] * 1000)
    assert caplog.messages == []
    other.load_state_dict(NormClipping(100).state_dict())
    clip(other, [1.0] * 1000)
    assert len(caplog.messages) == 1


def test_a_norm_that_always_clips_is_reported_once(caplog):
    clipper = NormClipping(0.01)
    clip(clipper, [1.0] * 999)
    assert caplog.messages == []
    clip(clipper, [1.0] * 2001)
    (message,) = caplog.messages
    assert message.startswith("norm_0.01 clipped each of the last 1000 steps: it acts as a")


def test_one_step_below_the_norm_is_enough(caplog):
    clip(NormClipping(0.01), [1.0] * 500 + [0.0] + [1.0] * 499)
    assert caplog.messages == []


def test_skipped_steps_dont_count(caplog):
    clipper = NormClipping(0.01, max_nonfinite=1000)
    clip(clipper, [1.0] * 999 + [float("nan")])
    caplog.clear()
    clip(clipper, [1.0])
    assert len(caplog.messages) == 1


def test_inside_a_combination_it_is_reported_too(caplog):
    clip(Combined(ALRC(), NormClipping(0.01)), [1.0] * 1000)
    assert [message.split()[0] for message in caplog.messages] == ["norm_0.01"]


@pytest.mark.parametrize(
    "clipper",
    [
        NoClipping(),
        AutoClip(100),
        AutoClip(None),
        AutoClip(0),
        AutoClip(10),
        LocalNormClipping(0.1),
    ],
    ids=lambda clipper: clipper.label,
)
def test_where_all_or_nothing_is_meant_nothing_is_logged(caplog, clipper):
    clip(clipper, [1.0 + step for step in range(1500)])  # norms that grow: AutoClip clips each
    assert caplog.messages == []


def test_missing_gradients_are_reported_once_until_there_are_some(caplog):
    clipper, parameters = AutoClip(), weights()
    for _ in range(3):
        clipper.clip_gradients(parameters)
    (message,) = caplog.messages
    assert "clip gradients between loss.backward() and zero_grad()" in message
    clip(clipper, [1.0])
    clipper.clip_gradients(parameters)
    assert len(caplog.messages) == 2
    assert clipper.steps == 1


@pytest.mark.parametrize("way", ["attached", "step"])
def test_missing_gradients_are_reported_in_every_way(caplog, way):
    clipper, optimizer = AutoClip(), torch.optim.Adam(weights(), fused=True)
    if way == "attached":
        clipper.attach(optimizer)
    for _ in range(3):
        optimizer.step() if way == "attached" else clipper.step(optimizer)
    assert len(caplog.messages) == 1


@pytest.fixture
def process_group():
    if not dist.is_available():
        pytest.skip("this torch has no torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # one process has nothing to shard, says FSDP
@pytest.mark.parametrize("original", [False, True])
def test_fsdp1_is_refused_because_no_process_knows_the_norm(process_group, original):
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = FullyShardedDataParallel(
        nn.Linear(3, 2), use_orig_params=original, device_id=torch.device("cpu")
    )
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    with pytest.raises(ValueError, match=r"use fully_shard \(FSDP2\)$"):
        AutoClip().attach(optimizer)
    model(torch.ones(1, 3)).sum().backward()
    for clip_or_step in (
        lambda: AutoClip().clip_gradients(model.parameters()),
        lambda: AutoClip().step(optimizer),
    ):
        with pytest.raises(ValueError, match=r"use fully_shard \(FSDP2\)$"):
            clip_or_step()
