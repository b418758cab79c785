"""What every clipper promises, whatever it does to finite gradients."""

import copy
import inspect
import io
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import Clipper, NonFiniteGradients, NormClipping
from tests.clipping.conftest import CLIPPERS
from tests.clipping.loops import backward, network, norm_of, numbers, train, weights


def test_label(label, clipper):
    assert isinstance(clipper, Clipper)
    assert clipper.label.startswith(label)


def test_only_clippers_of_losses_change_losses(clipper):
    losses = torch.tensor([1.0, 2.0, 1.5], requires_grad=True)
    clipper.clip_loss(losses)
    outlier = torch.tensor([1.0, 2.0, 1e6], requires_grad=True)
    changed = not torch.equal(clipper.clip_loss(outlier), outlier)
    assert changed is clipper.clips_loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_result_describes_what_happened(clipper, dtype):
    model = network(dtype)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5
    for step in range(20):
        model.zero_grad()
        backward(model, step, clip_loss=clipper.clip_loss)
        before, gradients = norm_of(model), [p.grad.clone() for p in model.parameters()]
        result = clipper.clip_gradients(model.parameters())
        assert all(value.shape == () for value in result)
        assert result.norm.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert result.norm.item() == pytest.approx(before, rel=1e-5)
        assert result.finite
        assert result.scale.item() == pytest.approx(norm_of(model) / before, rel=tolerance)
        assert norm_of(model) <= min(before, result.threshold.item()) * (1 + tolerance)
        same = all(map(torch.equal, gradients, [p.grad for p in model.parameters()]))
        assert same == (result.scale.item() == 1)


def test_clipped_steps_are_counted(clipper):
    model = network()
    results = train(model, clipper, torch.optim.SGD(model.parameters(), lr=0.01), range(30))
    assert clipper.steps == 30
    assert clipper.skipped == 0
    assert clipper.clipped == sum(bool(result.clipped) for result in results)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_left_alone_and_counted(clipper, bad):
    model = network()
    train(model, clipper, torch.optim.Adam(model.parameters()), range(3))
    backward(model, 3, clip_loss=clipper.clip_loss)
    state = clipper.state_dict()
    model[0].weight.grad[1, 2] = bad
    gradients = [p.grad.clone() for p in model.parameters()]
    result = clipper.clip_gradients(model.parameters())
    assert not result.finite
    assert not result.clipped
    assert result.scale.item() == 1
    assert all(
        torch.equal(a.nan_to_num(), p.grad.nan_to_num())
        for a, p in zip(gradients, model.parameters(), strict=True)
    )
    after = clipper.state_dict()
    assert after["skipped"] == 1
    assert after["steps"] == state["steps"] + 1
    counters = ("steps", "skipped", "nonfinite_in_a_row")
    for key in (key for key in state if not key.endswith(counters)):
        assert after[key] == state[key], key


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_loss_costs_one_step(clipper, bad):
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(100):
        wrong = torch.tensor([1.0, bad if step == 50 else 1.0, 1, 1, 1, 1])
        before = weights(model)
        backward(model, step, clip_loss=lambda loss, wrong=wrong: clipper.clip_loss(loss * wrong))
        finite = clipper.clip_gradients(model.parameters()).finite
        assert bool(finite) == (step != 50)
        if finite:
            optimizer.step()
        assert torch.equal(weights(model), before) == (step == 50)
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (100, 1)
    assert torch.isfinite(weights(model)).all()
    assert all(torch.isfinite(numbers(value)).all() for value in clipper.state_dict().values())


def test_many_bad_steps_in_a_row_name_the_parameters(clipper):
    model = network()
    clipper.max_nonfinite = 3

    def step(bad, parameters):
        model.zero_grad()
        backward(model, clip_loss=clipper.clip_loss)
        if bad:
            model[2].bias.grad[0] = math.nan
        clipper.clip_gradients(parameters)

    for bad in (True, True, False, True, True, False, True, True):  # a good one: counts anew
        step(bad, model.named_parameters())
    with pytest.raises(NonFiniteGradients, match=r"3 steps in a row.* in 2\.bias$") as caught:
        step(True, model.named_parameters())
    assert caught.value.names == ["2.bias"]
    with pytest.raises(NonFiniteGradients, match=r"parameter 3 of shape \(2,\)"):
        step(True, model.parameters())


def test_parameters_count_once_and_without_a_gradient_not_at_all(clipper):
    model, frozen = network(), nn.Parameter(torch.ones(3))
    backward(model, clip_loss=clipper.clip_loss)
    expected = norm_of(model)
    result = clipper.clip_gradients([frozen, *model.parameters(), *model.parameters()])
    assert result.norm.item() == pytest.approx(expected, rel=1e-5)
    assert result.scale.item() == pytest.approx(norm_of(model) / expected, rel=1e-5)
    assert frozen.grad is None


def test_without_any_gradient_nothing_happens(clipper):
    before = clipper.state_dict()
    result = clipper.clip_gradients(network().parameters())
    assert (result.norm, result.scale, result.clipped, result.finite) == (0, 1, False, True)
    assert clipper.state_dict() == before


def test_sixty_percent_zero_gradients_change_nothing_but_counters(make_clipper):
    """A margin loss without a violation, a frozen phase: no word on how large gradients are."""
    runs = []
    for zeros in (False, True):
        clipper, model, results = make_clipper(), network(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for step in range(60):
            for zero in [*[True] * (zeros * (1 + step % 2)), False]:

                def clip_loss(losses, clip=clipper.clip_loss, kept=not zero):
                    return clip(losses * kept)

                backward(model, step, clip_loss=clip_loss)
                before, result = weights(model), clipper.clip_gradients(model.parameters())
                optimizer.step()
                optimizer.zero_grad()
                assert torch.equal(weights(model), before) == zero
                if zero:
                    assert result == (0, math.inf, 1, False, True)  # fields in order
                else:
                    results.append(result)
        runs.append((clipper, weights(model), results))
    (plain, wanted, wanted_results), (clipper, found, results) = runs
    assert torch.equal(found, wanted)
    assert results == wanted_results
    assert (plain.steps, plain.zeros, clipper.steps, clipper.zeros) == (60, 0, 150, 90)
    state = clipper.state_dict()
    for key, value in plain.state_dict().items():
        assert key.endswith(("steps", "zeros")) or state[key] == value, key


def test_a_parameter_whose_gradient_is_zero_is_one_without_gradient(make_gradient_clipper):
    """Experts of which each step reaches one: none is held at zero, and all go on to move."""
    runs = []
    for unreached in (torch.zeros_like, lambda expert: None):
        clipper, generator = make_gradient_clipper(), torch.Generator().manual_seed(0)
        experts = [nn.Parameter(torch.ones(2, 2)) for _ in range(4)]
        optimizer = torch.optim.SGD([*experts, head := nn.Parameter(torch.ones(2, 2))], lr=0.01)
        for step in range(100):
            for expert in experts:
                expert.grad = unreached(expert)
            routed = experts[step % 4]
            for parameter in (routed, head):
                parameter.grad = torch.randn(2, 2, generator=generator)
            before = routed.detach().clone()
            clipper.clip_gradients([*experts, head])
            optimizer.step()
            assert not torch.equal(routed, before)
        runs.append((clipper.state_dict(), torch.stack([*experts, head])))
    (state, found), (wanted_state, wanted) = runs
    assert torch.equal(found, wanted)
    assert state == wanted_state
    assert state["zeros"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-40, 1e-20, 1e15, 1e25, 3e38])
def test_extreme_but_finite_gradients_are_measured(clipper, size, dtype):
    """Squares of these are 0 or infinite in float32, which makes zeros and skips of them."""
    model = network(dtype)
    count = sum(p.numel() for p in model.parameters())
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, size)
        result = clipper.clip_gradients(model.parameters())
        assert result.finite
        assert result.norm.item() == pytest.approx(size * count**0.5, rel=1e-2)
        for parameter in model.parameters():
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad.any()
    assert (clipper.skipped, clipper.zeros) == (0, 0)
    if hasattr(clipper, "history"):
        own = [size * p.numel() ** 0.5 for p in model.parameters() for _ in range(3)]
        wanted = own if clipper.label.endswith("parameter") else [size * count**0.5] * 3
        assert clipper.history.tolist() == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("size", [1e-250, 1e200])
def test_the_range_of_float64_is_measured_too(make_gradient_clipper, size):
    clipper, model = make_gradient_clipper(), network(torch.float64)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, size)
    result = clipper.clip_gradients(model.parameters())
    count = sum(p.numel() for p in model.parameters())
    assert result.norm.item() == pytest.approx(size * count**0.5)


def test_no_tensor_is_made_where_the_default_device_is(make_clipper):
    """A GPU as default device, and the model on another: meta tensors stand for it."""
    runs = []
    for device in ("cpu", "meta"):
        model, results = network(), []
        for step in range(12):
            model.zero_grad()
            with torch.device(device):
                if step == 0:
                    clipper = make_clipper()
            losses = torch.full((6,), 1.0 + step, requires_grad=True)
            with torch.device(device):
                clipped = clipper.clip_loss(losses)
            backward(model, step, clip_loss=lambda loss, c=clipped: loss * c, bad=step == 5)
            if step == 7:
                torch._foreach_mul_([p.grad for p in model.parameters()], 1e30)
            with torch.device(device):
                results.append(clipper.clip_gradients(model.parameters()))
                clipper.clip_gradients([])
                state = clipper.state_dict()
                clipper = make_clipper()
                clipper.load_state_dict(state)
        runs.append((torch.tensor([[float(x) for x in r] for r in results]), state))
    (wanted, wanted_state), (found, state) = runs
    assert torch.equal(found.nan_to_num(), wanted.nan_to_num())
    assert state == wanted_state


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_state_round_trip_gives_the_identical_trajectory(make_clipper, kind):
    clipper, restored, model, file = make_clipper(), make_clipper(), network(), io.BytesIO()
    optimizer = kind(model.parameters(), lr=0.01)
    train(model, clipper, optimizer, range(20))
    torch.save(clipper.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    results = train(model, clipper, optimizer, range(20, 50))
    assert train(twin, restored, twin_optimizer, range(20, 50)) == results
    assert torch.equal(weights(model), weights(twin))
    assert clipper.state_dict() == restored.state_dict()


def test_state_is_a_copy(clipper):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train(model, clipper, optimizer, range(5))
    state = clipper.state_dict()
    kept = copy.deepcopy(state)
    train(model, clipper, optimizer, range(5))
    clipper.load_state_dict(state)
    train(model, clipper, optimizer, range(5))
    assert state == kept


def test_state_holds_numbers_and_lists_only(clipper):
    for value in clipper.state_dict().values():
        assert type(value) in (int, float, list)


def test_a_foreign_state_is_refused_and_changes_nothing(clipper):
    before = clipper.state_dict()
    for wrong in ({**before, "surprise": 1}, {**before, "version": 99}, {}):
        with pytest.raises(ValueError, match="state"):
            clipper.load_state_dict(wrong)
    assert clipper.state_dict().keys() == before.keys()


def test_a_spoilt_state_is_refused_and_changes_nothing(make_clipper):
    model, clipper, fresh = network(), make_clipper(), make_clipper()
    train(model, clipper, torch.optim.SGD(model.parameters()), range(3))
    saved, before = clipper.state_dict(), fresh.state_dict()
    wrong = {int: [None, "x", math.nan, math.inf, -1, 2.5, [], {}, torch.ones(2)],
             float: [None, "x", math.inf, 10**400, -1.0, torch.ones(2)],
             list: [None, "x", math.inf, ["1"], [[]], [-math.inf], torch.ones(2)]}  # fmt: skip
    for key, value in saved.items():
        for other in () if key.endswith("version") else wrong[type(value)]:
            with pytest.raises(ValueError, match="must"):
                fresh.load_state_dict({**saved, key: other})
            assert fresh.state_dict() == before


def test_what_is_no_parameter_is_refused_with_what_to_pass_instead(clipper):
    model = network()
    loss = model(torch.ones(1, 5)).sum()
    gradients = torch.autograd.grad(loss, model.parameters(), create_graph=True)
    plain = [gradient.detach() for gradient in gradients]
    for wrong, advice in (
        (["weight"], "not str"),
        (model, r"pass model.named_parameters\(\)"),
        (torch.optim.SGD(model.parameters()), r"attach\(optimizer\)"),
        (gradients, "set each parameter's .grad"),
        (plain, "set each parameter's .grad"),
        (plain[0], "set each parameter's .grad"),
        (7, "not int"),
    ):
        with pytest.raises(TypeError, match=advice):
            clipper.clip_gradients(wrong)
    assert clipper.steps == 0


def test_the_hooks_answer_to_their_former_names():
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 3.0)
    clipper = NormClipping(1.0)
    with pytest.warns(DeprecationWarning, match="limit_gradients is deprecated: call clip_grad"):
        result = clipper.limit_gradients([weight])
    assert bool(result.clipped)
    with pytest.warns(DeprecationWarning, match="limit_loss is deprecated: call clip_loss"):
        assert float(clipper.limit_loss(torch.tensor(2.0))) == 2.0


def test_no_method_imports_another():
    files = {inspect.getfile(type(make())) for make in CLIPPERS.values()}
    assert len(files) >= 10
    for file in files:
        source = Path(file).read_text()
        for other in files - {file}:
            assert f"clipping.{Path(other).stem} import" not in source
