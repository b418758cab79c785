"""Every clipper, whatever the gradient, the precision, the optimizer and the way in."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from tests.clipping.states import numbers

GOOD = 4  # steps before the one in question


class Loop:
    """A training loop of one of the regimes."""

    def __init__(self, clipper, precision, fused, attached):
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
        if precision == "bf16":
            self.model.bfloat16()
        self.half = precision == "fp16 and scaler"
        self.scaler = GradScaler("cpu", init_scale=64.0, enabled=self.half)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01, fused=fused)
        self.clipper = clipper
        self.handle = clipper.attach(self.optimizer, self.scaler) if attached else None

    def step(self, number, spoil=None):
        generator = torch.Generator().manual_seed(number)
        inputs = torch.randn(6, 5, generator=generator).to(self.model[0].weight.dtype)
        with torch.autocast("cpu", dtype=torch.float16) if self.half else nullcontext():
            losses = (self.model(inputs) - 3).float().square().mean(dim=1)
            loss = self.clipper.clip_loss(losses).mean()
        self.scaler.scale(loss).backward()
        if spoil is not None:
            spoil(list(self.model.parameters()))
        if self.handle is None:
            self.scaler.unscale_(self.optimizer)
            finite = self.clipper.clip_gradients(self.model.parameters()).finite
            if finite or self.half:  # a scaler decides by itself, and must be told
                self.scaler.step(self.optimizer)
        else:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


def nan(parameters):
    parameters[0].grad[1, 1] = math.nan


def inf(parameters):
    parameters[2].grad[1, 1] = -math.inf


def zero(parameters):
    for parameter in parameters:
        parameter.grad.zero_()


def none(parameters):
    parameters[1].grad = None


def check(loop, spoil):
    for number in range(GOOD):
        loop.step(number)
    before = loop.weights()
    loop.step(GOOD, spoil)
    if spoil in (nan, inf):
        assert torch.equal(loop.weights(), before)
    loop.step(GOOD + 1)
    assert not torch.equal(loop.weights(), before)
    assert torch.isfinite(loop.weights()).all()
    applied = GOOD + 2 - (spoil in (nan, inf))
    assert loop.clipper.steps - loop.clipper.skipped == applied
    state = loop.clipper.state_dict()
    assert all(torch.isfinite(numbers(value)).all() for value in state.values())


def only_none(parameters):
    for parameter in parameters:
        parameter.grad = None


SPOILED = pytest.mark.parametrize("spoil", [None, nan, inf, zero, none])
PRECISION = pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16 and scaler"])
FUSED = pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])


@SPOILED
@PRECISION
@FUSED
@pytest.mark.parametrize("attached", [False, True], ids=["protocol", "attached"])
def test_gradients(make_gradient_clipper, spoil, precision, fused, attached):
    check(Loop(make_gradient_clipper(), precision, fused, attached), spoil)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])  # a scaler itself refuses such a step
@FUSED
@pytest.mark.parametrize("attached", [False, True], ids=["protocol", "attached"])
def test_without_any_gradient_a_step_changes_nothing(
    make_gradient_clipper, precision, fused, attached
):
    loop = Loop(make_gradient_clipper(), precision, fused, attached)
    for number in range(GOOD):
        loop.step(number)
    before = loop.weights()
    loop.step(GOOD, only_none)
    assert torch.equal(loop.weights(), before)
    assert (loop.clipper.steps, loop.clipper.skipped) == (GOOD, 0)
    loop.step(GOOD + 1)
    assert not torch.equal(loop.weights(), before)


@SPOILED
@PRECISION
@FUSED
def test_losses(make_loss_clipper, spoil, precision, fused):
    check(Loop(make_loss_clipper(), precision, fused, attached=False), spoil)
