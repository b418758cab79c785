"""A fused optimizer's step takes the clip along, and the host asks nothing."""

import math

import numpy as np
import pytest
import torch

from autoclip_sep.clipping import (
    ALRC,
    AdaGC,
    AutoClip,
    NoClipping,
    NonFiniteGradients,
    NormClipping,
    norms,
)
from autoclip_sep.clipping._fused import DeviceHistory
from autoclip_sep.clipping.history import History
from tests.clipping.loops import assert_same, backward, network, numbers, weights

FUSED = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, fused=True),
    "sgd with momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, fused=True),
}
CLIPPERS = {
    "none": NoClipping,
    "norm": lambda: NormClipping(0.5),
    "autoclip_p10": AutoClip,
    "autoclip_p0": lambda: AutoClip(0),
    "autoclip_p100": lambda: AutoClip(100),
    "warmup": lambda: AutoClip(warmup=5),
    "shadow": lambda: AutoClip(None),
    "window4": lambda: AutoClip(30, window=4),
    "window1": lambda: AutoClip(window=1),
    "window4_warmup6": lambda: AutoClip(30, window=4, warmup=6),
    "window_unfilled": lambda: AutoClip(50, window=1000),
}


def table(results):
    return torch.tensor([[float(value) for value in result] for result in results])


def train(clipper, make_optimizer, way, bad=(), zero=(), device="cpu"):
    """Weights, and a row of results for each step. device: the default while a clipper works."""
    model, results = network(), []
    optimizer = make_optimizer(model.parameters())
    for step in range(15):
        backward(model, step, bad=step in bad)
        if step in zero:
            torch._foreach_zero_([p.grad for p in model.parameters()])
        if way == "step":
            with torch.device(device):
                results.append(clipper.step(optimizer))
        else:
            results.append(clipper.clip_gradients(model.parameters()))
            if results[-1].finite:
                optimizer.step()
        optimizer.zero_grad()
    return weights(model), table(results)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [*[(name, "adam") for name in CLIPPERS], *[("autoclip_p10", kind) for kind in FUSED]],
)
@pytest.mark.parametrize(
    ("bad", "zero"), [((), ()), ((0,), ()), ((4, 5, 11), (0, 1, 6, 7, 8)), ((), range(9))], ids=str
)
def test_step_equals_clipping_and_then_stepping(name, optimizer, bad, zero):
    ours, theirs = CLIPPERS[name](), CLIPPERS[name]()
    found, results = train(ours, FUSED[optimizer], "step", bad, zero)
    wanted, wanted_results = train(theirs, FUSED[optimizer], "protocol", bad, zero)
    close = {"rtol": 1e-5, "atol": 1e-6, "equal_nan": True}
    torch.testing.assert_close(found, wanted, **close)
    torch.testing.assert_close(results, wanted_results, **close)
    assert (ours.steps, ours.skipped, ours.zeros) == (15, len(bad), len(zero))
    assert ours.clipped == theirs.clipped
    one, other = ours.state_dict(), theirs.state_dict()
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(numbers(one[key]), numbers(other[key]), rtol=1e-5, atol=0)


def test_where_nothing_is_clipped_the_step_is_the_same_to_the_bit():
    weights, _ = train(AutoClip(100), FUSED["adam"], "step")
    assert torch.equal(weights, train(NoClipping(), FUSED["adam"], "protocol")[0])


WINDOWS = pytest.mark.parametrize("window", [None, 4])


@WINDOWS
def test_both_ways_may_take_turns(window):
    turns, model = AutoClip(window=window), network()
    optimizer = FUSED["adam"](model.parameters())
    for step in range(15):
        backward(model, step)
        if step % 10 < 5:
            turns.step(optimizer)
        else:
            turns.clip_gradients(model.parameters())
            optimizer.step()
        optimizer.zero_grad()
    other = AutoClip(window=window)
    train(other, FUSED["adam"], "protocol")
    history = other.history
    torch.testing.assert_close(turns.history, history, rtol=1e-5, atol=0)


@WINDOWS
def test_state_goes_on_in_the_other_way(window):
    first, second = AutoClip(window=window), AutoClip(window=window)
    train(first, FUSED["adam"], "step", bad=(3,))
    second.load_state_dict(first.state_dict())
    assert len(second.history) == (window or 14)
    _, one = train(first, FUSED["adam"], "step")
    _, other = train(second, FUSED["adam"], "protocol")
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CLIPPERS)
def test_a_fused_step_makes_nothing_where_the_default_device_is(name):
    runs = [
        train(CLIPPERS[name](), FUSED["adam"], "step", bad=(3,), device=device)
        for device in ("cpu", "meta")
    ]
    assert_same(*runs)


def test_a_norm_that_overflows_in_a_fused_step_is_reported_as_such():
    model, clipper = network(), AutoClip(max_nonfinite=1)
    optimizer = FUSED["sgd"](model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e25)
    clipper.step(optimizer)
    with pytest.raises(NonFiniteGradients, match="finite, but beyond float32"):
        clipper.step(optimizer)
    assert clipper.skipped == 1


def test_bad_steps_in_a_row_end_the_training():
    model, clipper = network(), AutoClip(max_nonfinite=3)
    optimizer = torch.optim.Adam(model.named_parameters(), fused=True)

    def step(bad):
        optimizer.zero_grad()
        backward(model, bad=bad)
        clipper.step(optimizer)

    for bad in (True, True, False, True, True, True):
        step(bad)
    with pytest.raises(NonFiniteGradients, match=r"3 steps in a row: not finite in 0\.weight"):
        step(True)


@pytest.mark.parametrize(
    "clipper",
    [ALRC(), AdaGC(), AutoClip(scope="parameter"), AutoClip(window=5, scope="parameter")],
    ids=lambda c: c.label,
)
def test_clippers_that_cant_are_refused(clipper):
    model = network()
    optimizer = FUSED["adam"](model.parameters())
    backward(model)
    with pytest.raises(ValueError, match="call clip_gradients and then"):
        clipper.step(optimizer)
    assert not hasattr(optimizer, "found_inf")


def test_optimizers_that_arent_fused_are_refused():
    model = network()
    backward(model)
    with pytest.raises(ValueError, match="needs fused=True, which this Adam"):
        AutoClip().step(torch.optim.Adam(model.parameters()))


@pytest.mark.parametrize("window", [None, 1, 2, 50, 299, 1000])
@pytest.mark.parametrize("percentile", [0, 10, 33.3, 100])
def test_the_history_on_the_device_equals_the_one_on_the_host(percentile, window):
    norms = np.random.default_rng(0).lognormal(size=300)
    norms[40:60] = norms[3]
    cpu, host = torch.device("cpu"), History(window)
    device = DeviceHistory(torch.empty(0).double(), cpu, window)
    for step, norm in enumerate(norms):
        wanted = step % 7 != 0
        value = torch.tensor(norm if wanted else (math.nan, math.inf)[step % 2]).double()
        device.append(value, torch.tensor(wanted))
        if wanted:
            host.append(norm)
        if len(host):
            assert device.percentile(percentile).item() == host.percentile(percentile)
        if step % 90 == 50:  # a state is saved and taken up again
            device = DeviceHistory(device.tensor(), cpu, window)
    assert torch.equal(device.tensor(), host.tensor())


@pytest.mark.parametrize("without_float64", [(), ("cpu",)], ids=["float64", "float32"])
def test_a_threshold_beyond_float32_is_none(monkeypatch, without_float64):
    monkeypatch.setattr(norms, "WITHOUT_FLOAT64", without_float64)
    after = []
    for clipper in (NormClipping(1e39), NoClipping()):
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        backward(model)
        result = clipper.step(optimizer)
        assert (result.threshold, result.scale, result.clipped) == (math.inf, 1, False)
        after.append([weight.detach().clone() for weight in model.parameters()])
    assert all(map(torch.equal, *after))
