"""One clipper for several optimizers, and what one clipper, one optimizer and a copy may not be."""

import copy
import pickle
from collections import deque

import pytest
import torch
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip, NoClipping, NormClipping
from tests.clipping.loops import assert_same, backward, memory, network, train, weights


def matrices(model):
    return [(name, p) for name, p in model.named_parameters() if p.ndim == 2]


def rest(model):
    return [(name, p) for name, p in model.named_parameters() if p.ndim != 2]


def muon_and_adamw(model):
    return [
        torch.optim.Muon(matrices(model), lr=0.02),
        torch.optim.AdamW(rest(model), lr=0.01),
    ]


def three(model):
    first, second, third, fourth = model.parameters()
    return [
        torch.optim.SGD([first], lr=0.05, momentum=0.9),
        torch.optim.Adam([second, fourth], lr=0.01, fused=True),
        torch.optim.Adam([third], lr=0.01),
    ]


@pytest.fixture(params=[muon_and_adamw, three], ids=["Muon, AdamW", "three"])
def make(request):
    return request.param


def protocol(clipper, make, bad=()):
    model = network()
    train(model, clipper, make(model), range(12), bad)
    return weights(model)


def attached(clipper, make, steps=12, bad=None, backwards=False, scaler=None, unscale=()):
    model = network()
    optimizers = make(model)
    handle = clipper.attach(optimizers, scaler)
    turns = optimizers[::-1] if backwards else optimizers
    for step in range(steps):
        backward(model, step, scaler=scaler, bad=step == bad)
        before = memory(model, *optimizers)
        for index in unscale:
            scaler.unscale_(optimizers[index])
        for optimizer in turns:
            optimizer.step() if scaler is None else scaler.step(optimizer)
        if scaler is not None:
            scaler.update()
        if step == bad:
            assert_same(memory(model, *optimizers), before)
            assert not handle.last.finite
        model.zero_grad()
    return weights(model)


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "the other way round"])
def test_one_norm_one_entry_one_decision(make, backwards):
    ours, theirs = AutoClip(50), AutoClip(50)
    expected = protocol(theirs, make, bad=[5])
    torch.testing.assert_close(attached(ours, make, bad=5, backwards=backwards), expected)
    assert (ours.steps, ours.skipped, ours.clipped) == (12, 1, theirs.clipped)
    history = ours.state_dict()["history"]
    assert len(history) == 11
    torch.testing.assert_close(history, theirs.state_dict()["history"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("unscale", [(), (0,), (0, 1)], ids=["none", "one", "two"])
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "the other way round"])
def test_a_scaler(make, backwards, unscale):
    ours, theirs = AutoClip(50), AutoClip(50)
    expected = attached(theirs, make)
    scaler = GradScaler("cpu", init_scale=1024.0)
    found = attached(ours, make, backwards=backwards, scaler=scaler, unscale=unscale)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        ours.state_dict()["history"], theirs.state_dict()["history"], rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "the other way round"])
@pytest.mark.parametrize("bad", [3, None], ids=["one bad gradient", "the scale is too high"])
def test_what_the_scaler_skips_for_one_is_skipped_for_all(make, backwards, bad):
    clipper = AutoClip(50)
    scaler = GradScaler("cpu", init_scale=1024.0 if bad else 2.0**127)
    attached(clipper, make, steps=30, bad=bad, backwards=backwards, scaler=scaler)
    assert clipper.skipped == 0
    assert clipper.steps == len(clipper.state_dict()["history"])
    assert clipper.steps == 29 if bad else 1 < clipper.steps < 30


@pytest.mark.parametrize("scheduled", [False, True])
def test_accumulation_and_resume(scheduled):
    def go_on(model, optimizers, clipper, steps):
        clipper.attach(optimizers)
        if scheduled:
            for optimizer in optimizers:
                torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        for step in steps:
            for part in range(2):
                backward(model, 2 * step + part)
            for optimizer in optimizers:
                optimizer.step()
            model.zero_grad()

    model, clipper = network(), AutoClip(50)
    optimizers = muon_and_adamw(model)
    go_on(model, optimizers, clipper, range(4))
    resumed, fresh = network(), AutoClip(50)
    resumed.load_state_dict(model.state_dict())
    others = muon_and_adamw(resumed)
    for other, optimizer in zip(others, optimizers, strict=True):
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fresh.load_state_dict(clipper.state_dict())
    go_on(resumed, others, fresh, range(4, 8))
    whole, all_at_once = network(), AutoClip(50)
    go_on(whole, muon_and_adamw(whole), all_at_once, range(8))
    assert torch.equal(weights(resumed), weights(whole))
    assert_same(fresh.state_dict(), all_at_once.state_dict())
    assert fresh.steps == 8


def test_an_optimizer_without_gradients_takes_its_turn():
    model, clipper = network(), AutoClip()
    optimizers = muon_and_adamw(model)
    clipper.attach(optimizers)
    for step in range(3):
        backward(model, step)
        for _, parameter in rest(model):
            parameter.grad = None
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad()
    assert clipper.steps == 3


def test_steps_that_only_make_state_are_no_part_of_a_round():
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    from torch.distributed.checkpoint import state_dict as sharded

    model, clipper = network(), AutoClip()
    optimizers = muon_and_adamw(model)
    clipper.attach(optimizers)
    state = sharded.get_optimizer_state_dict(model, optimizers)
    sharded.set_optimizer_state_dict(model, optimizers, state)
    assert clipper.steps == 0
    backward(model)
    for optimizer in optimizers:
        optimizer.step()
    assert clipper.steps == 1


def twice(model, muon, adamw):
    muon.step()
    model.zero_grad()
    backward(model, 1)
    muon.step()


def zeroed(model, muon, adamw):
    muon.step()
    model.zero_grad()
    adamw.step()


def zeroed_in_place(model, muon, adamw):
    muon.step()
    model.zero_grad(set_to_none=False)
    adamw.step()


def another_backward(model, muon, adamw):
    muon.step()
    backward(model, 1)
    adamw.step()


def closure(model, muon, adamw):
    muon.step(lambda: backward(model, 1))


@pytest.mark.parametrize(
    ("turns", "error"),
    [
        (twice, "a second step of Muon before each"),
        (zeroed, "gradients of AdamW changed"),
        (zeroed_in_place, "gradients of AdamW changed"),
        (another_backward, "gradients of AdamW changed"),
        (closure, "call backward"),
    ],
)
def test_turns_that_would_give_wrong_numbers(turns, error):
    model = network()
    muon, adamw = muon_and_adamw(model)
    AutoClip().attach([muon, adamw])
    backward(model)
    with pytest.raises((RuntimeError, ValueError), match=error):
        turns(model, muon, adamw)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_a_scaler_that_wasnt_given_is_found_out(fused):
    model, scaler = network(), GradScaler("cpu", init_scale=64.0)
    optimizers = [torch.optim.SGD(layer.parameters(), 0.1, fused=fused) for layer in model[::2]]
    AutoClip().attach(optimizers)
    backward(model, scaler=scaler)
    with pytest.raises(RuntimeError, match=r"give (the scaler|attach the GradScaler)"):
        deque(map(scaler.step, optimizers))


def test_refused():
    model, clipper = network(), NormClipping(1.0)
    muon, adamw = muon_and_adamw(model)
    handle = clipper.attach([muon, adamw])
    other = torch.optim.SGD(network().parameters(), lr=0.1)
    for again in (muon, [adamw, muon]):
        with pytest.raises(ValueError, match="a clipper attached to this optimizer already"):
            clipper.attach(again)
    with pytest.raises(ValueError, match="a clipper attached to this optimizer already"):
        NoClipping().attach(adamw)
    with pytest.raises(ValueError, match="attached to another optimizer already"):
        clipper.attach(other)
    handle.remove()
    handle.remove()
    with pytest.raises(ValueError, match="this list is empty"):
        clipper.attach([])
    with pytest.raises(ValueError, match="the same parameters"):
        clipper.attach([muon, adamw, adamw])
    clipper.attach(other).remove()
    clipper.attach([muon, adamw])
    backward(model)
    muon.step()
    adamw.step()
    assert clipper.steps == 1


def test_step_of_an_attached_clipper_would_take_two_entries():
    model, clipper = network(), NormClipping(1.0)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    handle = clipper.attach(optimizer)
    backward(model)
    with pytest.raises(ValueError, match="would clip twice"):
        clipper.step(optimizer)
    handle.remove()
    clipper.step(optimizer)
    assert clipper.steps == 1


def test_a_new_optimizer_in_the_place_of_an_old_one():
    model, clipper = network(), AutoClip()
    for step in range(3):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        clipper.attach(optimizer)
        backward(model, step)
        optimizer.step()
        del optimizer
    assert clipper.steps == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, pickle.dumps])
def test_a_copy_that_would_lose_the_clipper_is_refused(copied):
    model, clipper = network(), AutoClip()
    muon, adamw = muon_and_adamw(model)
    handle = clipper.attach([muon, adamw])
    for whole in (muon, {"optimizers": [adamw]} if copied is not copy.copy else adamw):
        with pytest.raises(TypeError, match="would lose the clipper attached to it"):
            copied(whole)
    copied(adamw.state_dict())
    copied(clipper)
    handle.remove()
    copied(muon)
    copied(adamw)


def test_loading_an_optimizers_state_keeps_the_clipper():
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.AdamW(model.parameters())
    clipper.attach(optimizer)
    backward(model)
    optimizer.step()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step()
    assert clipper.steps == 2
