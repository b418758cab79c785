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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("percentile", [0, 1, 10, 25, 50, 90, 99.9, 100])
def test_thresholds_equal_numpy_percentile(percentile, dtype):
    norms = np.random.default_rng(0).lognormal(sigma=2, size=300)
    norms[100:110] = norms[3]  # ties
    norms = torch.from_numpy(norms).to(dtype).double().numpy()
    clipper, rel = AutoClip(percentile), 1e-12 if dtype == torch.float64 else 1e-6
    for count, norm in enumerate(norms, start=1):
        parameter = gradient(norm, dtype=dtype)
        result = clipper.clip_gradients([parameter])
        wanted = np.percentile(norms[:count], percentile)
        assert result.threshold.item() == pytest.approx(wanted, rel=rel)
        assert parameter.grad.norm().item() == pytest.approx(min(norm, wanted), rel=rel)
    np.testing.assert_array_equal(clipper.history.numpy(), norms)


def test_the_current_norm_is_part_of_the_percentile():
    clipper = AutoClip(50)
    assert clipper.clip_gradients([gradient(1.0)]).threshold == 1
    result = clipper.clip_gradients([gradient(3.0)])
    assert result.threshold == 2  # the median of 1 and 3; of the past alone it would be 1
    assert result.scale.item() == pytest.approx(2 / 3)


def test_percentile_100_leaves_every_gradient_bit_for_bit():
    clipper, generator = AutoClip(100), torch.Generator().manual_seed(0)
    parameter = nn.Parameter(torch.zeros(1000))
    for step in range(100):
        raw = torch.randn(1000, generator=generator) * 10 ** (step % 7 - 3)
        parameter.grad = raw.clone()
        result = clipper.clip_gradients([parameter])
        assert torch.equal(parameter.grad, raw)
        assert result.scale == 1
        assert not result.clipped


def test_percentile_0_is_the_running_minimum():
    clipper = AutoClip(0)
    for norm, minimum in [(3.0, 3.0), (2.0, 2.0), (5.0, 2.0), (0.5, 0.5), (0.5, 0.5), (9.0, 0.5)]:
        result = clipper.clip_gradients([gradient(norm)])
        assert result.threshold == minimum
        assert bool(result.clipped) == (norm > minimum)


def test_a_gradient_at_the_threshold_stays_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(999, generator=generator)
    clipper, parameter = AutoClip(10), nn.Parameter(torch.zeros(999))
    for _ in range(50):  # equal norms: interpolation between equals must not lose a bit
        parameter.grad = raw.clone()
        result = clipper.clip_gradients([parameter])
        assert torch.equal(parameter.grad, raw)
        assert result.scale == 1


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**10])
def test_scaling_all_gradients_scales_the_outcome(factor):
    norms = np.random.default_rng(2).lognormal(size=200)
    plain, scaled = AutoClip(10), AutoClip(10)
    for norm in norms:
        one, other = gradient(norm), gradient(norm * factor)
        plain.clip_gradients([one])
        scaled.clip_gradients([other])
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
@pytest.mark.parametrize("percentile", [10, 90])
def test_training_follows_algorithm_1(kind, percentile):
    def run(clip):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()
        optimizer = kind(model.parameters(), lr=0.01)
        path = []
        for _ in range(150):
            inputs = torch.randn(8, 6, dtype=torch.float64)
            loss = (model(inputs) - inputs[:, :3].sin()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            clip(model)
            optimizer.step()
            path.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        return torch.stack(path)

    clipper, history = AutoClip(percentile), []
    ours = run(lambda model: clipper.clip_gradients(model.parameters()))
    reference = run(lambda model: algorithm_1(model, history, percentile))
    unclipped = run(lambda model: None)
    assert (ours - reference).abs().max() < 1e-9
    assert (ours - unclipped).abs().max() > 1e-5  # clipping did something
    assert clipper.history.tolist() == pytest.approx(history, rel=1e-9)


def thresholds(clipper, norms):
    return [clipper.clip_gradients([gradient(n)]).threshold.item() for n in norms]


@pytest.mark.parametrize("scope", ["global", "parameter"])
def test_a_window_looks_at_the_latest_norms_only(scope):
    """As percentile_clipping of bitsandbytes, there per tensor and of the latest 100."""
    norms = np.random.default_rng(3).lognormal(size=60)
    clipper = AutoClip(20, window=25, scope=scope)
    for count, norm in enumerate(norms, start=1):
        parameter = gradient(norm)
        clipper.clip_gradients([parameter])
        wanted = min(norm, np.percentile(norms[max(0, count - 25) : count], 20))
        assert parameter.grad[1].item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("norms", "wanted"),
    [
        ([5.0, 1.0, 3.0, 9.0], [math.inf, math.inf, 3, 4]),
        ([5.0, math.nan, 1.0, 3.0], [math.inf, math.inf, math.inf, 3]),
        ([5.0, 0.0, 1.0, 3.0], [math.inf, math.inf, math.inf, 3]),
    ],
)
def test_warmup_records_norms_that_are_finite_and_not_zero(norms, wanted):
    clipper = AutoClip(50, warmup=2)
    assert thresholds(clipper, norms) == wanted
    assert clipper.history.tolist() == [norm for norm in norms if norm > 0]


def test_a_percentile_that_looks_like_a_share_warns_once(caplog):
    clipper = AutoClip(0.1)
    clipper.clip_gradients([gradient(1.0)])
    (line,) = caplog.messages
    assert "AutoClip(10)" in line
    for percentile in (0, 1, 10, 100, None):
        AutoClip(percentile)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("scope", ["global", "parameter"])
def test_a_state_of_the_time_when_zeros_were_entries_recovers(scope):
    clipper = AutoClip(10, scope=scope)
    state = {"version": 1, "steps": 5, "clipped": 0, "skipped": 0, "nonfinite_in_a_row": 0}
    state["history"] = torch.tensor([0.0, 2.0, 0.0, 4.0, 0.0]).double()
    if scope == "parameter":
        state["lengths"] = torch.tensor([3, 0, 2])
    clipper.load_state_dict(state)
    assert clipper.history.tolist() == [2, 4]
    assert (clipper.steps, clipper.zeros) == (5, 0)
    parameter = gradient(8.0)
    assert clipper.clip_gradients([parameter]).clipped
    assert parameter.grad.norm().item() == pytest.approx(2.4 if scope == "global" else 2.6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_threshold_beyond_float32_clips_nothing(dtype):
    """A percentile that lies between a norm that only float64 holds and an ordinary one."""
    clipper, parameter = AutoClip(90), torch.nn.Parameter(torch.ones(4, dtype=dtype))
    for size in (3e38, 1.0):
        parameter.grad = torch.full_like(parameter, size)
        result = clipper.clip_gradients([parameter])
    assert (result.threshold, result.clipped, result.scale) == (math.inf, False, 1)
    assert parameter.grad.tolist() == [1.0] * 4


def test_shadow_records_everything_and_touches_nothing():
    norms = np.random.default_rng(4).lognormal(size=50)
    clipper = AutoClip(None)
    for norm in norms:
        parameter = gradient(norm)
        assert clipper.clip_gradients([parameter]).threshold == math.inf
        assert parameter.grad[1] == norm
    assert clipper.clipped == 0
    clip = AutoClip(10)
    clip.load_state_dict(clipper.state_dict())  # decide on p afterwards
    assert thresholds(clip, [2.0]) == pytest.approx([np.percentile([*norms, 2.0], 10)])


def test_each_parameter_can_have_its_own_threshold():
    clipper = AutoClip(50, scope="parameter")
    clipper.clip_gradients([gradient(1.0), gradient(10.0)])
    parameters = [gradient(3.0), gradient(10.0)]
    result = clipper.clip_gradients(parameters)
    assert [p.grad[1].item() for p in parameters] == pytest.approx([2, 10])
    assert result.threshold == math.inf
    assert result.scale.item() == pytest.approx(math.sqrt(104 / 109))
    state = clipper.state_dict()
    assert clipper.history.tolist() == [1, 3, 10, 10]
    assert state["lengths"] == [2, 2]


def test_parameters_keep_their_history_when_another_has_no_gradient():
    clipper = AutoClip(0, scope="parameter")
    clipper.clip_gradients([gradient(1.0), gradient(5.0)])
    absent = nn.Parameter(torch.zeros(4).double())
    second = gradient(7.0)
    clipper.clip_gradients([absent, second])
    assert second.grad[1] == 5
    assert clipper.state_dict()["lengths"] == [1, 2]
    restored = AutoClip(0, scope="parameter")
    restored.load_state_dict(clipper.state_dict())
    third = gradient(9.0)
    restored.clip_gradients([gradient(9.0), third])
    assert third.grad[1] == 5


@pytest.mark.parametrize(
    "lengths", [torch.tensor([1, 5]), torch.tensor([3, -1]), torch.tensor([2.0]), [3], None]
)
def test_histories_that_dont_add_up_are_refused(lengths):
    clipper = AutoClip(scope="parameter")
    clipper.clip_gradients([gradient(1.0), gradient(2.0)])
    for state in ({**clipper.state_dict(), "lengths": lengths}, AutoClip().state_dict()):
        with pytest.raises(ValueError, match="lengths"):
            clipper.load_state_dict(state)
        assert clipper.state_dict()["lengths"] == [1, 1]
