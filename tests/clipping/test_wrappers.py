"""Optimizers whose step() is more than the update: the update's gradient is the one clipped."""

import math

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip, NonFiniteGradients, NormClipping
from tests.clipping.loops import assert_same, backward, memory, norm_of
from tests.clipping.test_skipped_steps import network


class Sam(torch.optim.Optimizer):
    """Foret et al. 2021, https://arxiv.org/abs/2010.01412, built as most implementations are.

    restores: how second_step comes back from the perturbed point: to what it kept, unless there is
        no gradient ("kept"), or by taking off what it added ("added").
    """

    def __init__(self, params, base_optimizer, rho=0.05, restores="kept", **settings):
        super().__init__(params, {"rho": rho, **settings})
        self.base_optimizer = base_optimizer(self.param_groups, **settings)
        self.param_groups = self.base_optimizer.param_groups
        self.restores = restores

    def each(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    yield parameter, group["rho"]

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norm = torch.stack([p.grad.norm() for p, _ in self.each()]).norm()
        for parameter, rho in self.each():
            added = parameter.grad * (rho / (norm + 1e-12))
            self.state[parameter]["kept"] = parameter.clone()
            self.state[parameter]["added"] = added
            parameter.add_(added)
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for parameter, _ in self.each():
            if self.restores == "kept":
                parameter.data = self.state[parameter]["kept"]
            else:
                parameter.sub_(self.state[parameter]["added"])
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()

    def step(self, closure=None):
        assert closure is not None
        self.first_step(zero_grad=True)
        with torch.enable_grad():
            closure()
        self.second_step()


BASES = {
    "sgd": lambda p, kind, **more: kind(p, torch.optim.SGD, lr=0.05, momentum=0.9, **more),
    "adam": lambda p, kind, **more: kind(p, torch.optim.Adam, lr=0.01, **more),
}


def theirs(name):
    return getattr(pytest.importorskip("pytorch_optimizer"), name)


SAMS = {
    "ours, kept": lambda p: BASES["sgd"](p, Sam),
    "ours, added": lambda p: BASES["adam"](p, Sam, restores="added"),
    "SAM": lambda p: BASES["adam"](p, theirs("SAM")),
    "SAM of D-Adaptation": lambda p: theirs("SAM")(
        p, pytest.importorskip("dadaptation").DAdaptSGD, momentum=0.9
    ),
    "LookSAM": lambda p: BASES["sgd"](p, theirs("LookSAM"), k=2),
    "FriendlySAM": lambda p: BASES["sgd"](p, theirs("FriendlySAM")),
}


class Seen:
    """Gradients in the order in which closures left them, one of them spoilt."""

    def __init__(self, model, optimizer, spoil=None):
        self.model, self.optimizer, self.spoil = model, optimizer, spoil
        self.calls = 0
        self.norms = []

    def closure(self, step):
        self.optimizer.zero_grad()
        with torch.enable_grad():
            loss = backward(self.model, step, bad=self.calls == self.spoil)
        self.calls += 1
        self.norms.append(norm_of(self.model))
        return loss


def sam_step(way, optimizer, closure):
    closure()
    if way == "step(closure)":
        optimizer.step(closure)
    else:
        optimizer.first_step(zero_grad=True)
        closure()
        optimizer.second_step()


@pytest.mark.parametrize("way", ["step(closure)", "first_step, second_step"])
@pytest.mark.parametrize("name", SAMS)
def test_the_second_gradient_is_clipped_once(name, way):
    model, clipper = network(), AutoClip(50)
    optimizer = SAMS[name](model.parameters())
    handle = clipper.attach(optimizer)
    seen = Seen(model, optimizer)
    for step in range(8):
        sam_step(way, optimizer, lambda step=step: seen.closure(step))
        if name != "LookSAM":  # which works on that gradient before it steps
            assert handle.last.norm.item() == pytest.approx(seen.norms[-1], rel=1e-5)
    assert clipper.steps == len(clipper.state_dict()["history"]) == 8
    assert 0 < clipper.clipped < 8
    handle.remove()
    assert not {"step", "first_step", "second_step", "__reduce_ex__"} & vars(optimizer).keys()


@pytest.mark.parametrize("name", SAMS)
def test_a_percentile_of_100_changes_no_bit(name):
    runs = []
    for attached in (True, False):
        model = network()
        optimizer = SAMS[name](model.parameters())
        if attached:
            AutoClip(100).attach(optimizer)
        seen = Seen(model, optimizer)
        for step in range(6):
            sam_step("step(closure)", optimizer, lambda step=step, seen=seen: seen.closure(step))
        runs.append(memory(model, optimizer))
    assert_same(*runs)


@pytest.mark.parametrize("pass_", ["first", "second"])
@pytest.mark.parametrize("way", ["step(closure)", "first_step, second_step"])
@pytest.mark.parametrize("name", SAMS)
def test_a_nan_in_either_pass_leaves_everything_where_it_was(name, way, pass_):
    model, clipper = network(), AutoClip(50)
    optimizer = SAMS[name](model.parameters())
    handle = clipper.attach(optimizer)
    seen = Seen(model, optimizer, spoil=8 if pass_ == "first" else 9)
    for step in range(8):
        before = memory(model, optimizer, optimizer.base_optimizer)
        sam_step(way, optimizer, lambda step=step: seen.closure(step))
        if step == 4:
            assert not handle.last.finite
            assert_same(memory(model, optimizer, optimizer.base_optimizer), before)
    assert (clipper.steps, clipper.skipped) == (8, 1)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_an_error_in_the_second_pass_leaves_the_weights_where_they_were():
    model, clipper = network(), AutoClip()
    optimizer = SAMS["ours, kept"](model.parameters())
    clipper.attach(optimizer)
    backward(model)
    before = memory(model, optimizer)

    def closure():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert_same(memory(model, optimizer), before)


def test_too_many_bad_second_passes_stop_at_good_weights():
    model, clipper = network(), AutoClip(max_nonfinite=2)
    optimizer = SAMS["ours, added"](model.named_parameters())
    clipper.attach(optimizer)
    before = memory(model)
    sam_step("step(closure)", optimizer, lambda: Seen(model, optimizer, spoil=0).closure(0))
    with pytest.raises(
        NonFiniteGradients, match=r"in 2 steps in a row: not finite in 0\.weight, 2"
    ):
        sam_step("step(closure)", optimizer, lambda: Seen(model, optimizer, spoil=0).closure(1))
    assert_same(memory(model), before)


def lookahead(p):
    return theirs("Lookahead")(torch.optim.Adam(p, lr=0.01), k=3)


def schedule_free(p):
    package = pytest.importorskip("schedulefree")
    optimizer = package.ScheduleFreeWrapper(torch.optim.SGD(p, lr=0.01))
    optimizer.train()
    return optimizer


WRAPPERS = {
    "Lookahead": lookahead,
    "Lookahead with pullback": lambda p: theirs("Lookahead")(
        torch.optim.SGD(p, lr=0.05, momentum=0.9), k=2, pullback_momentum="pullback"
    ),
    "Lookahead of Prodigy": lambda p: theirs("Lookahead")(
        pytest.importorskip("prodigyopt").Prodigy(p), k=2
    ),
    "ScheduleFreeWrapper": schedule_free,
    "TRAC": lambda p: theirs("TRAC")(torch.optim.AdamW(p, lr=0.01)),
    "OrthoGrad": lambda p: theirs("OrthoGrad")(torch.optim.AdamW(p, lr=0.01)),
    "PCGrad": lambda p: theirs("PCGrad")(torch.optim.AdamW(p, lr=0.01)),
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("by", ["step()", "step(closure)"])
def test_a_wrappers_step_is_one_step_and_skipped_as_a_whole(name, by):
    model, other, clipper = network(), network(), AutoClip(100)
    optimizer, twin = WRAPPERS[name](model.parameters()), WRAPPERS[name](other.parameters())
    handle = clipper.attach(optimizer)
    for step in range(9):
        seen = Seen(model, optimizer, spoil=0 if step == 5 else None)
        before = memory(model, optimizer)
        if by == "step()":
            seen.closure(step)
            optimizer.step()
        else:
            optimizer.step(lambda step=step, seen=seen: seen.closure(step))
        assert bool(handle.last.finite) == (step != 5)
        if step == 5:
            assert_same(memory(model, optimizer), before)
        else:
            Seen(other, twin).closure(step)
            twin.step()
    assert_same(memory(model, optimizer), memory(other, twin))
    assert (clipper.steps, clipper.skipped) == (9, 1)


def test_gsam():
    """It calls its closure by itself, and may come without one."""
    package = pytest.importorskip("pytorch_optimizer")
    model, clipper = network(), AutoClip(50)
    base = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = package.ProportionScheduler(
        torch.optim.lr_scheduler.StepLR(base, 100), max_lr=0.05, min_lr=0.01
    )
    optimizer = package.GSAM(model.parameters(), base, model, schedule)
    clipper.attach(optimizer)
    for step in range(6):
        inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        if step == 3:
            inputs[0, 0] = math.nan  # in both passes: it would come back to NaN minus NaN
        optimizer.set_closure(nn.functional.mse_loss, inputs, torch.full((6, 2), 3.0))
        before = memory(model, base)
        optimizer.step()
        if step == 3:
            assert_same(memory(model, base), before)
    assert (clipper.steps, clipper.skipped) == (6, 1)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_a_scaler_unscales_once_whatever_it_is_given(fused):
    """Lookahead's step without momentum is that of the optimizer in it until it looks back."""

    def run(make, init_scale, attach=True):
        model = network()
        optimizer = make(torch.optim.Adam(model.parameters(), lr=0.01, fused=fused))
        scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)
        handle = NormClipping(0.5).attach(optimizer, scaler)
        for step in range(4):
            loss = (model(torch.ones(6, 5) * step) - 3).square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            assert handle.last.norm < 100
            optimizer.zero_grad()
        return memory(model)

    wrap = theirs("Lookahead")
    assert_same(run(lambda o: wrap(o, k=9), 1024.0), run(lambda o: o, 1.0))


def test_refused():
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Master(torch.optim.SGD):
        """As apex' optimizers, which step float32 copies of the parameters."""

    class Engine:
        """As DeepSpeed's, which steps a piece of them."""

        def __init__(self, inside):
            self.optimizer, self.param_groups = inside, inside.param_groups

        def step(self):
            self.optimizer.step()

    class Functional(torch.optim.SGD):
        """Has an optimizer and doesn't use it."""

    master = Master(model.parameters(), lr=0.1)
    master.optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(TypeError, match="steps other parameters than Master has"):
        clipper.attach(master)
    with pytest.raises(TypeError, match=r"Engine is no torch\.optim\.Optimizer"):
        clipper.attach(Engine(optimizer))
    with pytest.raises(TypeError, match="object is no optimizer"):
        clipper.attach(object())
    unused = Functional(model.parameters(), lr=0.1)
    unused.optimizer = optimizer
    clipper.attach(unused)
    backward(model)
    with pytest.raises(RuntimeError, match="didn't call the step of the optimizer in it"):
        unused.step()
