"""A clipper attached to an optimizer does in its step what the protocol does before it."""

import math

import pytest
import torch
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip, NonFiniteGradients, NormClipping
from tests.clipping.loops import backward, network, norm_of, weights

KINDS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
}
SCALED = ["protocol", "attached", "attached, unscaled by hand"]


@pytest.fixture(params=["adam", "adam-fused"])
def kind(request):
    return KINDS[request.param]


def run(clipper, kind, way="attached", *, scaler=None, dtype=torch.float32, steps=12):
    """Trains with or without a scaler; returns the weights."""
    model = network(dtype)
    optimizer = kind(model.parameters())
    by_hand = way == "protocol"
    if not by_hand:
        clipper.attach(optimizer, scaler)
    scaler = scaler or GradScaler("cpu", enabled=False)
    for step in range(steps):
        backward(model, step, scaler=scaler)
        if by_hand or "unscaled" in way:
            scaler.unscale_(optimizer)
        if by_hand:
            clipper.clip_gradients(model.parameters())
        if "forgotten" in way:
            optimizer.step()
        else:
            scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return weights(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attached_equals_the_protocol(make_gradient_clipper, kind, dtype):
    ours, theirs = make_gradient_clipper(), make_gradient_clipper()
    expected = run(theirs, kind, "protocol", dtype=dtype)
    assert torch.equal(run(ours, kind, dtype=dtype), expected)
    assert (ours.steps, ours.clipped) == (12, theirs.clipped)


@pytest.mark.parametrize("way", [*SCALED, "attached, scaler.step forgotten"])
def test_scaled_gradients_never_reach_the_clipper(make_gradient_clipper, kind, way):
    plain, clipper = make_gradient_clipper(), make_gradient_clipper()
    expected = run(plain, kind, "protocol")
    # Scales are powers of two, so unscaling loses nothing.
    assert torch.equal(run(clipper, kind, way, scaler=GradScaler("cpu")), expected)
    assert clipper.state_dict() == plain.state_dict()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("way", SCALED)
@pytest.mark.parametrize("enabled", [True, False])
def test_every_optimizer_unscales_once(name, way, enabled):
    expected, scaler = run(AutoClip(), KINDS[name], "protocol"), GradScaler("cpu", enabled=enabled)
    assert torch.equal(run(AutoClip(), KINDS[name], way, scaler=scaler), expected)


def test_steps_that_the_scaler_skips_dont_reach_the_clipper(kind):
    clipper = AutoClip()
    # Each inf halves the scale, until a step comes through.
    run(clipper, kind, scaler=GradScaler("cpu", init_scale=2.0**127), steps=40)
    assert 1 < clipper.steps < 40
    assert clipper.skipped == 0
    assert len(clipper.history) == clipper.steps
    assert clipper.history.max() < 100


@pytest.mark.parametrize("name", KINDS)
def test_a_bad_step_is_skipped_and_moves_no_counter(name):
    model, clipper = network(), AutoClip()
    optimizer = KINDS[name](model.parameters())
    handle = clipper.attach(optimizer)
    for step in range(10):
        backward(model, step, bad=step == 5)
        before = weights(model)
        optimizer.step()
        assert torch.equal(weights(model), before) == (step == 5)
        assert bool(handle.last.finite) == (step != 5)
        assert all((p.grad is None) == (step == 5) for p in model.parameters())
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (10, 1)
    assert len(clipper.history) == 9
    for state in optimizer.state.values():
        assert state.get("step", torch.tensor(9.0)) == 9


@pytest.mark.parametrize("named", [True, False])
def test_names_come_from_the_optimizer_where_it_has_them(named):
    model, clipper = network(), AutoClip(max_nonfinite=1)
    optimizer = torch.optim.SGD(model.named_parameters() if named else model.parameters(), lr=0.1)
    clipper.attach(optimizer)
    backward(model)
    model[2].weight.grad[0, 0] = math.nan
    name = r"2\.weight$" if named else r"parameter 2 of shape \(2, 8\)$"
    with pytest.raises(NonFiniteGradients, match=name):
        optimizer.step()


@pytest.mark.parametrize("given", [True, False], ids=["scaler given", "scaler not given"])
@pytest.mark.parametrize("name", KINDS)
def test_last_shows_that_a_scaler_skipped(name, given):
    if not given and "fused" not in name:
        pytest.skip("a plain optimizer isn't told of what a scaler skips")
    model, scaler, clipper = network(), GradScaler("cpu", init_scale=64.0), NormClipping(0.5)
    optimizer = KINDS[name](model.parameters())
    handle = clipper.attach(optimizer, scaler if given else None)
    assert handle.last is None
    for step in range(6):
        bad = step in (0, 3)
        backward(model, step, scaler=scaler)
        norm = norm_of(model) / 64
        if bad:
            model[0].weight.grad[0, 0] = math.inf
        before = weights(model)
        scaler.step(optimizer)
        scaler.update(64.0)
        assert bool(handle.last.finite) == (not bad)
        expected = pytest.approx(math.nan if bad else norm, nan_ok=True)
        assert handle.last.norm.item() == expected
        assert handle.last.threshold == (math.inf if bad else 0.5)
        assert torch.equal(weights(model), before) == bad
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
        backward(model, step, scaler=scaler, bad=step == 1)
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
    backward(model)
    optimizer.step()
    assert norm_of(model) == pytest.approx(1)


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
    backward(model)
    optimizer.param_groups[0]["lr"] = 0.0  # a warm-up's first step has gradients, and counts
    optimizer.step()
    assert clipper.steps == 1


def test_removed_is_removed():
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = clipper.attach(optimizer)
    handle.remove()
    handle.remove()
    backward(model)
    optimizer.step()
    assert clipper.steps == 0


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_with_a_closure_gradients_are_clipped_after_it(name, by_name):
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
    assert torch.equal(weights(model), run(AutoClip(), KINDS[name], "protocol"))


def test_a_clipper_of_losses_cant_be_attached(make_loss_clipper):
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="call clip_loss before the backward pass"):
        make_loss_clipper().attach(optimizer)


def test_an_optimizer_that_is_collected_while_handles_are_looked_at_is_no_error():
    """The collector runs where it likes; a second look at a weak reference found nothing."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    handle = AutoClip(10).attach(optimizer)
    looks = iter([optimizer])
    handle._stacks = [[lambda: next(looks, None)]]
    assert handle._optimizers() == [optimizer]
    assert handle._optimizers() == []
