"""A clipper attached to an optimizer does in its step what the protocol does before it."""

import math

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip, NonFiniteGradients, NormClipping

KINDS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
}


@pytest.fixture(params=["adam", "adam-fused"])
def kind(request):
    return KINDS[request.param]


def network(dtype=torch.float32):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)


def backward(model, step, scaler=None):
    """Each step has a batch of its own, the same in every run."""
    generator = torch.Generator().manual_seed(step)
    dtype = next(model.parameters()).dtype
    inputs = torch.randn(6, 5, generator=generator).to(dtype)
    loss = (model(inputs) - 3).square().mean()
    (loss if scaler is None else scaler.scale(loss)).backward()


def protocol(clipper, make_optimizer, dtype=torch.float32, steps=12):
    model = network(dtype)
    optimizer = make_optimizer(model.parameters())
    for step in range(steps):
        backward(model, step)
        if clipper.clip_gradients(model.parameters()).finite:
            optimizer.step()
        optimizer.zero_grad()
    return weights(model)


def attached(clipper, make_optimizer, dtype=torch.float32, steps=12):
    model = network(dtype)
    optimizer = make_optimizer(model.parameters())
    clipper.attach(optimizer)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
        optimizer.zero_grad()
    return weights(model)


def scaled(clipper, make_optimizer, way, steps=12, init_scale=2.0**16):
    model, scaler = network(), GradScaler("cpu", init_scale=init_scale)
    optimizer = make_optimizer(model.parameters())
    if way != "protocol":
        clipper.attach(optimizer, scaler)
    for step in range(steps):
        backward(model, step, scaler)
        if way in ("protocol", "attached and unscaled by hand"):
            scaler.unscale_(optimizer)
        if way == "protocol":
            clipper.clip_gradients(model.parameters())
        if way == "attached, scaler.step forgotten":
            optimizer.step()
        else:
            scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return weights(model)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attached_equals_the_protocol(make_gradient_clipper, kind, dtype):
    ours, theirs = make_gradient_clipper(), make_gradient_clipper()
    assert torch.equal(attached(ours, kind, dtype), protocol(theirs, kind, dtype))
    assert (ours.steps, ours.clipped) == (12, theirs.clipped)


@pytest.mark.parametrize(
    "way",
    [
        "protocol",
        "attached",
        "attached and unscaled by hand",
        "attached, scaler.step forgotten",
    ],
)
def test_scaled_gradients_never_reach_the_clipper(make_gradient_clipper, kind, way):
    plain, clipper = make_gradient_clipper(), make_gradient_clipper()
    expected = protocol(plain, kind)
    # Scales are powers of two, so unscaling loses nothing.
    assert torch.equal(scaled(clipper, kind, way), expected)
    assert clipper.state_dict() == plain.state_dict()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("way", ["protocol", "attached", "attached and unscaled by hand"])
def test_every_optimizer_unscales_once(name, way):
    expected, clipper = protocol(AutoClip(), KINDS[name]), AutoClip()
    assert torch.equal(scaled(clipper, KINDS[name], way), expected)


def test_steps_that_the_scaler_skips_dont_reach_the_clipper(kind):
    clipper = AutoClip()
    # Each inf halves the scale, until a step comes through.
    scaled(clipper, kind, "attached", steps=40, init_scale=2.0**127)
    assert 1 < clipper.steps < 40
    assert clipper.skipped == 0
    assert len(clipper.history) == clipper.steps
    assert clipper.history.max() < 100


def test_an_optimizer_with_a_scaler_that_is_disabled(kind):
    model, scaler = network(), GradScaler("cpu", enabled=False)
    optimizer, clipper = kind(model.parameters()), AutoClip()
    clipper.attach(optimizer, scaler)
    for step in range(12):
        backward(model, step, scaler)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    assert torch.equal(weights(model), protocol(AutoClip(), kind))


@pytest.mark.parametrize("name", KINDS)
def test_a_bad_step_is_skipped_and_moves_no_counter(name):
    model, clipper = network(), AutoClip()
    optimizer = KINDS[name](model.parameters())
    handle = clipper.attach(optimizer)
    for step in range(10):
        backward(model, step)
        if step == 5:
            before = weights(model)
            model[0].weight.grad[0, 0] = math.nan
        optimizer.step()
        if step == 5:
            assert torch.equal(weights(model), before)
            assert not handle.last.finite
            assert all(p.grad is None for p in model.parameters())
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (10, 1)
    assert len(clipper.history) == 9
    assert torch.isfinite(weights(model)).all()
    for state in optimizer.state.values():
        assert state.get("step", torch.tensor(9.0)) == 9


def test_names_come_from_the_optimizer_where_it_has_them():
    model, clipper = network(), AutoClip(max_nonfinite=1)
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    clipper.attach(optimizer)
    backward(model, 0)
    model[2].weight.grad[0, 0] = math.nan
    with pytest.raises(NonFiniteGradients, match=r"2\.weight$"):
        optimizer.step()


def test_without_names_the_position_is_told():
    model, clipper = network(), AutoClip(max_nonfinite=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    clipper.attach(optimizer)
    backward(model, 0)
    model[2].weight.grad[0, 0] = math.nan
    with pytest.raises(NonFiniteGradients, match=r"parameter 2 of shape \(2, 8\)$"):
        optimizer.step()


def test_last_is_the_result_of_the_latest_step():
    model, clipper = network(), NormClipping(0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    handle = clipper.attach(optimizer)
    assert handle.last is None
    backward(model, 0)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    optimizer.step()
    assert handle.last.norm.item() == pytest.approx(norm.item())
    assert handle.last.threshold == 0.5


@pytest.mark.parametrize("give", [True, False], ids=["scaler given", "scaler not given"])
@pytest.mark.parametrize("name", KINDS)
def test_last_says_that_a_scaler_skipped(name, give):
    if not give and "fused" not in name:
        pytest.skip("a plain optimizer isn't told of what a scaler skips")
    model, scaler, clipper = network(), GradScaler("cpu", init_scale=64.0), NormClipping(0.5)
    optimizer = KINDS[name](model.parameters())
    handle = clipper.attach(optimizer, scaler if give else None)
    for step in range(6):
        backward(model, step, scaler)
        if step in (0, 3):
            model[0].weight.grad[0, 0] = math.inf
        before = weights(model)
        scaler.step(optimizer)
        scaler.update()
        assert bool(handle.last.finite) == (step not in (0, 3))
        assert math.isnan(handle.last.norm) == (step in (0, 3))
        assert torch.equal(weights(model), before) == (step in (0, 3))
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (4, 0)
    handle.remove()
    assert "step" not in vars(scaler)


def test_a_scaler_of_two_optimizers_with_a_clipper_each():
    model, scaler = network(), GradScaler("cpu", init_scale=64.0)
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in model[::2]]
    clippers = [NormClipping(0.5), AutoClip()]
    one, other = (c.attach(o, scaler) for c, o in zip(clippers, optimizers, strict=True))
    for step in range(3):
        backward(model, step, scaler)
        if step == 1:
            model[0].weight.grad[0, 0] = math.inf
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        assert bool(one.last.finite) == (step != 1)
        assert other.last.finite
        model.zero_grad()
    one.remove()
    other.remove()
    assert [clipper.steps for clipper in clippers] == [2, 3]
    assert "step" not in vars(scaler)


def test_all_groups_share_one_norm():
    model, clipper = network(), NormClipping(1.0)
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.0)
    clipper.attach(optimizer)
    backward(model, 0)
    optimizer.step()
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert norm.item() == pytest.approx(1)


@pytest.mark.parametrize("name", KINDS)
def test_a_step_that_only_makes_the_optimizers_state_doesnt_count(name):
    """As FSDP2's checkpoints are restored: a zero in the history would stay there for good."""
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    from torch.distributed.checkpoint import state_dict as sharded

    model, clipper = network(), AutoClip()
    optimizer = KINDS[name](model.parameters())
    clipper.attach(optimizer)
    state = sharded.get_optimizer_state_dict(model, optimizer)
    sharded.set_optimizer_state_dict(model, optimizer, state)
    assert clipper.steps == 0
    backward(model, 0)
    optimizer.param_groups[0]["lr"] = 0.0  # a warm-up's first step has gradients, and counts
    optimizer.step()
    assert clipper.steps == 1


def test_removed_is_removed():
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = clipper.attach(optimizer)
    handle.remove()
    handle.remove()
    backward(model, 0)
    optimizer.step()
    assert clipper.steps == 0


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_with_a_closure_gradients_are_limited_after_it(name, by_name):
    model, clipper = network(), AutoClip()
    optimizer = KINDS[name](model.parameters())
    clipper.attach(optimizer)
    for step in range(12):

        def closure(step=step):
            optimizer.zero_grad()
            backward(model, step)
            return torch.tensor(float(step))

        loss = optimizer.step(closure=closure) if by_name else optimizer.step(closure)
        assert loss == step
    assert torch.equal(weights(model), protocol(AutoClip(), KINDS[name]))


def test_a_loss_limiter_cant_be_attached(make_loss_clipper):
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="call clip_loss before the backward pass"):
        make_loss_clipper().attach(optimizer)
