"""Every clipper, whatever the gradient, the precision, the optimizer and the way in."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch.amp import GradScaler

from tests.clipping.loops import network, numbers, weights


class Loop:
    """A training loop of one of the regimes."""

    def __init__(self, clipper, precision, fused, attached):
        self.model = network(torch.bfloat16 if precision == "bf16" else torch.float32)
        self.half = precision == "fp16 and scaler"
        self.scaler = GradScaler("cpu", init_scale=64.0, enabled=self.half)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01, fused=fused)
        self.clipper = clipper
        self.handle = clipper.attach(self.optimizer, self.scaler) if attached else None
        self.steps = 0

    def step(self, spoil=None):
        self.steps += 1
        generator = torch.Generator().manual_seed(self.steps)
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


def nan(parameters):
    parameters[0].grad[1, 1] = math.nan


def inf(parameters):
    parameters[2].grad[1, 1] = -math.inf


def zero(parameters):
    for parameter in parameters:
        parameter.grad.zero_()


def one_missing(parameters):
    parameters[1].grad = None


def all_missing(parameters):
    for parameter in parameters:
        parameter.grad = None


def check(loop):
    """Spoils one step after the other, with good ones between them."""
    for _ in range(4):
        loop.step()
    clipper, applied = loop.clipper, 4
    for spoil in (nan, inf, zero, one_missing, all_missing):
        if spoil is all_missing and loop.half:
            continue  # a scaler itself refuses such a step
        before = weights(loop.model)
        loop.step(spoil)
        applied += spoil in (zero, one_missing)
        if spoil not in (zero, one_missing):  # Adam's momentum goes on without a gradient
            assert torch.equal(weights(loop.model), before), spoil
        assert clipper.steps - clipper.skipped == applied, spoil
        before = weights(loop.model)
        loop.step()
        applied += 1
        assert clipper.steps - clipper.skipped == applied, spoil
        assert not torch.equal(weights(loop.model), before), spoil
        assert torch.isfinite(weights(loop.model)).all(), spoil
    assert all(torch.isfinite(numbers(value)).all() for value in clipper.state_dict().values())


PRECISION = pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16 and scaler"])
FUSED = pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])


@PRECISION
@FUSED
@pytest.mark.parametrize("attached", [False, True], ids=["protocol", "attached"])
def test_gradients(make_gradient_clipper, precision, fused, attached):
    check(Loop(make_gradient_clipper(), precision, fused, attached))


@PRECISION
@FUSED
def test_losses(make_loss_clipper, precision, fused):
    check(Loop(make_loss_clipper(), precision, fused, attached=False))
