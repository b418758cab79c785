"""AutoClip is Algorithm 1 of the paper, exactly."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip


def gradient(norm, size=4, dtype=torch.float64):
    """A parameter whose gradient has this norm exactly: all of it in one component."""
    parameter = nn.Parameter(torch.zeros(size, dtype=dtype))
    parameter.grad = torch.zeros(size, dtype=dtype)
    parameter.grad[1] = norm
    return parameter


@pytest.mark.parametrize("percentile", [0, 1, 10, 25, 50, 90, 99.9, 100])
def test_thresholds_equal_numpy_percentile(percentile):
    norms = np.random.default_rng(0).lognormal(sigma=2, size=1000)
    norms[200:210] = norms[3]  # ties
    clipper = AutoClip(percentile)
    for count in range(1, len(norms) + 1):
        parameter = gradient(norms[count - 1])
        result = clipper.limit_gradients([parameter])
        wanted = np.percentile(norms[:count], percentile)
        assert result.threshold.item() == pytest.approx(wanted, rel=1e-12)
        after = min(norms[count - 1], wanted)
        assert parameter.grad.norm().item() == pytest.approx(after, rel=1e-12)
    np.testing.assert_array_equal(clipper.state_dict()["history"].numpy(), norms)


def test_float32_gradients_follow_numpy_too():
    norms = np.random.default_rng(1).lognormal(size=1000).astype(np.float32)
    clipper = AutoClip(25)
    for count in range(1, len(norms) + 1):
        result = clipper.limit_gradients([gradient(float(norms[count - 1]), dtype=torch.float32)])
        wanted = np.percentile(norms[:count].astype(np.float64), 25)
        assert result.threshold.item() == pytest.approx(wanted, rel=1e-6)


def test_the_current_norm_is_part_of_the_percentile():
    clipper = AutoClip(50)
    assert clipper.limit_gradients([gradient(1.0)]).threshold == 1
    result = clipper.limit_gradients([gradient(3.0)])
    assert result.threshold == 2  # the median of 1 and 3; of the past alone it would be 1
    assert result.scale.item() == pytest.approx(2 / 3)


def test_percentile_100_leaves_every_gradient_bit_for_bit():
    clipper, generator = AutoClip(100), torch.Generator().manual_seed(0)
    parameter = nn.Parameter(torch.zeros(1000))
    for step in range(100):
        raw = torch.randn(1000, generator=generator) * 10 ** (step % 7 - 3)
        parameter.grad = raw.clone()
        result = clipper.limit_gradients([parameter])
        assert torch.equal(parameter.grad, raw)
        assert result.scale == 1
        assert not result.clipped


def test_percentile_0_is_the_running_minimum():
    clipper = AutoClip(0)
    for norm, minimum in [(3.0, 3.0), (2.0, 2.0), (5.0, 2.0), (0.5, 0.5), (0.5, 0.5), (9.0, 0.5)]:
        result = clipper.limit_gradients([gradient(norm)])
        assert result.threshold == minimum
        assert bool(result.clipped) == (norm > minimum)


def test_a_gradient_at_the_threshold_stays_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(999, generator=generator)
    clipper, parameter = AutoClip(10), nn.Parameter(torch.zeros(999))
    for _ in range(50):  # equal norms: interpolation between equals must not lose a bit
        parameter.grad = raw.clone()
        result = clipper.limit_gradients([parameter])
        assert torch.equal(parameter.grad, raw)
        assert result.scale == 1


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**10])
def test_scaling_all_gradients_scales_the_outcome(factor):
    norms = np.random.default_rng(2).lognormal(size=200)
    plain, scaled = AutoClip(10), AutoClip(10)
    for norm in norms:
        one, other = gradient(norm), gradient(norm * factor)
        plain.limit_gradients([one])
        scaled.limit_gradients([other])
        assert torch.equal(one.grad * factor, other.grad)


def algorithm_1(model, history, percentile):
    """The paper's Algorithm 1, written down as it stands."""
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters()))
    history.append(norm)
    threshold = np.percentile(history, percentile)
    factor = min(threshold / norm, 1)
    for parameter in model.parameters():
        parameter.grad = parameter.grad * factor


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
@pytest.mark.parametrize("percentile", [0, 10, 50, 90])
def test_training_follows_algorithm_1(kind, percentile):
    def run(clip):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()
        optimizer = kind(model.parameters(), lr=0.01)
        path = []
        for _ in range(500):
            inputs = torch.randn(8, 6, dtype=torch.float64)
            loss = (model(inputs) - inputs[:, :3].sin()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            clip(model)
            optimizer.step()
            path.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        return torch.stack(path)

    clipper, history = AutoClip(percentile), []
    ours = run(lambda model: clipper.limit_gradients(model.parameters()))
    reference = run(lambda model: algorithm_1(model, history, percentile))
    unclipped = run(lambda model: None)
    assert (ours - reference).abs().max() < 1e-9
    assert (ours - unclipped).abs().max() > 1e-5  # clipping did something
    assert clipper.state_dict()["history"].tolist() == pytest.approx(history, rel=1e-9)


@pytest.mark.parametrize(
    "wrong", [-0.1, 100.5, math.nan, math.inf, "10", True, False, [10], torch.tensor(10.0)]
)
def test_percentile_is_checked(wrong):
    with pytest.raises(ValueError, match=r"^percentile must be a finite number in \[0, 100\], not"):
        AutoClip(wrong)


@pytest.mark.parametrize(
    ("percentile", "label"),
    [(10, "autoclip_p10"), (10.0, "autoclip_p10"), (0, "autoclip_p0"), (2.5, "autoclip_p2.5"),
     (np.float64(10), "autoclip_p10"), (np.int64(90), "autoclip_p90")],
)  # fmt: skip
def test_label_doesnt_depend_on_how_the_number_is_written(percentile, label):
    assert AutoClip(percentile).label == label
