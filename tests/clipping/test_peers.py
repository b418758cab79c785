"""Other clippers on PyPI do what docs/migration.md says of them, side by side with ours."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip


@pytest.fixture
def smartclip():
    return pytest.importorskip("smartclip", reason="compares with smartclip 0.1.1")


@pytest.fixture
def autoclip():
    return pytest.importorskip("autoclip.torch", reason="compares with autoclip 0.2.1")


class OneVector(nn.Module):
    """A parameter whose gradient's norm is set from outside."""

    def __init__(self):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(2))

    def after(self, norm, clip):
        self.vector.grad = torch.tensor([0.0, norm])
        clip()
        return self.vector.grad[1].item()


def norms(number):
    return np.random.default_rng(0).lognormal(size=number).astype(np.float32).tolist()


def first_nan(make_clip, bad, steps=60):
    """The step after which weights are NaN, or None, where one step's gradients are."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    clip = make_clip(model, optimizer)
    for step in range(steps):
        (model(torch.randn(6, 5)) - 3).square().mean().backward()
        if step == bad:
            model[2].bias.grad.fill_(math.nan)
        clip()
        optimizer.step()
        optimizer.zero_grad()
        if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
            return step
    return None


def test_a_nan_costs_one_step_here_and_all_weights_there(smartclip, autoclip):
    def ours(model, optimizer):
        AutoClip().attach(optimizer)
        return lambda: None

    def smart(model, optimizer):
        clipper = smartclip.AutoClip()
        return lambda: smartclip.apply(model, clipper)

    def quantile(model, optimizer):
        return autoclip.QuantileClip(model.parameters()).step

    assert first_nan(ours, bad=40) is None
    assert first_nan(smart, bad=40) == first_nan(quantile, bad=40) == 40
    assert first_nan(smart, bad=None) is first_nan(quantile, bad=None) is None


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("whole", [False, True])
def test_standard_clip_ends_at_its_second_step(autoclip, whole):
    def standard(model, optimizer):
        return autoclip.StandardClip(model.parameters(), global_threshold=whole).step

    assert first_nan(standard, bad=None) == 1


def test_quantile_clip_knows_the_norms_before_this_one_only(autoclip):
    model, values = OneVector(), norms(200)
    clipper = autoclip.QuantileClip(model.parameters(), quantile=0.9)
    found = [model.after(norm, clipper.step) for norm in values]
    before = [math.inf, *(np.percentile(values[:n], 90) for n in range(1, 200))]
    assert found == pytest.approx(np.minimum(values, before), rel=1e-4)
    ours = AutoClip(90, window=1000)
    with_it = [np.percentile(values[:n], 90) for n in range(1, 201)]
    clipped = [model.after(n, lambda: ours.clip_gradients(model.parameters())) for n in values]
    assert clipped == pytest.approx(np.minimum(values, with_it), rel=1e-6)
    model.after(math.nan, clipper.step)
    assert math.isnan(model.after(1.0, clipper.step))


def test_a_window_of_smartclip_is_ours(smartclip):
    model = OneVector()
    theirs = smartclip.AutoClip(mode="percentile", percentile=95.0, history="window")
    ours = AutoClip(95, window=1024, warmup=99)
    for norm in norms(1500):
        wanted = model.after(norm, lambda: smartclip.apply(model, theirs))
        found = model.after(norm, lambda: ours.clip_gradients(model.parameters()))
        assert found == pytest.approx(wanted, rel=1e-5)
    assert ours.clipped > 50


def test_warmup_of_smartclip_counts_parameters(smartclip):
    model = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 2))
    clipper, steps = smartclip.AutoClip(scope="per_param"), 0
    while not clipper.can_clip():
        model(torch.ones(1, 5)).sum().backward()
        smartclip.apply(model, clipper)
        steps += 1
    assert steps == 25


def test_smartclip_sees_the_scaled_gradients_of_a_fused_optimizer(smartclip):
    def norm(attach):
        torch.manual_seed(0)
        model, scaler = nn.Linear(5, 2), GradScaler("cpu")
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        return attach(model, optimizer, scaler)

    def backward_and_step(model, optimizer, scaler):
        scaler.scale(model(torch.ones(4, 5)).square().sum()).backward()
        scaler.step(optimizer)

    def theirs(model, optimizer, scaler):
        seen = []
        with smartclip.clip_context(model, optimizer=optimizer, on_metrics=seen.append):
            backward_and_step(model, optimizer, scaler)
        return seen[0]["grad_norm"]

    def ours(model, optimizer, scaler):
        handle = AutoClip().attach(optimizer, scaler)
        backward_and_step(model, optimizer, scaler)
        return handle.last.norm.item()

    assert norm(theirs) == pytest.approx(65536 * norm(ours), rel=1e-4)
