"""The recorder in loops of every kind: its rows against copies of the model; no bit changed."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from autoclip_sep.dynamics import Recorder


def network():
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()


def batches(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 8, 4, generator=generator, dtype=torch.float64).unbind()


def loss_of(model, x):
    return (model(x) - x.square().sum(1, keepdim=True)).abs().square().mean()


def gradients(model, loss):
    model = copy.deepcopy(model)
    loss(model).backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([g.to_dense().flatten() for g in found])


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def expected(before, after, loss):
    """Step norm, gradient norm and smoothness with one point, on copies of the model."""
    half = copy.deepcopy(before)
    with torch.no_grad():
        for middle, end in zip(half.parameters(), after.parameters(), strict=True):
            middle.copy_(middle + 0.5 * (end - middle))
    length = (flat(after) - flat(before)).norm()
    start = gradients(before, loss)
    change = (gradients(half, loss) - start).norm()
    return [float(length), float(start.norm()), float(change / (0.5 * length))]


def logged(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("autoclip_sep")]


def found(recorder):
    return [recorder.last[name] for name in ("step_norm", "grad_norm", "smoothness")]


def train(
    model, *, count=4, loss=loss_of, closure=None, parts=1, observe=lambda loss: loss,
    optimizer=None, change=None, during=lambda: None, every=1, **options,
):  # fmt: skip
    """Trains and records; yields the recorder, each step's batch and the model before it.

    closure: of the model and a batch, by default the loss. parts: micro-batches of a step, or a
        function of the step that gives them. observe: what is observed of a micro-batch's loss;
        None observes the mean of all, once.
    change: called before each step with the optimizer and the step. during: called at its end.
    """
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = Recorder(model, optimizer, None, every=every, **options)
    for step, x in enumerate(batches(count), start=1):
        if change is not None:
            change(optimizer, step)
        before = copy.deepcopy(getattr(model, "_orig_mod", model))
        with recorder.step(closure=partial(closure or loss, model, x)) as probe:
            chunks = x.chunk(parts(step) if callable(parts) else parts)
            values = []
            for chunk in chunks:
                values.append(loss(model, chunk))
                (values[-1] / len(chunks)).backward()
                if observe is not None:
                    probe.observe(observe(values[-1]))
            if observe is None:
                probe.observe(torch.stack(values).mean())
            optimizer.step()
            during()
        optimizer.zero_grad()
        yield recorder, x, before


def assert_right(model, loss=loss_of, known=lambda step: True, **options):
    """Every row is what copies of the model give."""
    for recorder, x, before in train(model, loss=loss, **options):
        if known(recorder.steps):
            wanted = expected(before, getattr(model, "_orig_mod", model), lambda m, x=x: loss(m, x))
            assert found(recorder) == pytest.approx(wanted, rel=1e-9)
        yield recorder, x, before


def run(steps):
    """All steps; the recorder."""
    *_, (recorder, _, _) = steps
    return recorder


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(reentrant, caplog):
    def loss(model, x):
        x = x.clone().requires_grad_()  # without which reentrant checkpointing gives nothing
        hidden = checkpoint(model[:2], x, use_reentrant=reentrant)
        out = checkpoint(model[2], hidden, use_reentrant=reentrant)
        return (out - x.square().sum(1, keepdim=True)).square().mean()

    run(assert_right(network(), loss))
    assert not logged(caplog)


def test_parameters_frozen_and_thawed_and_added_between_steps(caplog):
    model = network()

    def change(optimizer, step):
        model[0].requires_grad_(step not in (2, 3))
        if step == 3:
            model.append(nn.Linear(1, 1).double())
            optimizer.add_param_group({"params": list(model[-1].parameters())})

    run(assert_right(model, change=change))
    assert not logged(caplog)


def test_a_parameter_frozen_within_a_step_is_unknown_and_logged_once(caplog):
    model = network()
    for recorder, _, _ in train(model, during=lambda: model[0].requires_grad_(False)):
        assert math.isnan(recorder.last["smoothness"])
        assert math.isnan(recorder.last["step_norm"])
        assert recorder.last["grad_norm"] > 0
        model.requires_grad_(True)
    assert logged(caplog) == [
        "step 1: parameters were frozen, thawed, added or resized in a recorded step"
    ]


def test_all_frozen_is_a_step_of_no_length(caplog):
    model, x = network(), nn.Parameter(torch.ones(1, dtype=torch.float64))

    def loss(model, batch):
        return loss_of(model, batch) + 0 * x.sum()

    def change(optimizer, step):
        model.requires_grad_(step != 2)

    for recorder, *_ in assert_right(model, loss, lambda step: step != 2, count=3, change=change):
        if recorder.steps == 2:
            assert found(recorder)[:2] == [0, 0]
            assert math.isnan(found(recorder)[2])
    assert caplog.messages == ["step 2: every parameter is frozen: there is no smoothness"]


class Words(nn.Module):
    def __init__(self, tied=False):
        super().__init__()
        torch.manual_seed(3)
        self.words = nn.Embedding(6, 3, sparse=not tied).double()
        self.out = nn.Linear(3, 6, bias=False).double()
        if tied:
            self.out.weight = self.words.weight

    def forward(self, x):
        return self.out(self.words(x.abs().mul(2).long().clamp(max=5))).mean(2)


@pytest.mark.parametrize("tied", [False, True])
def test_sparse_and_tied_embeddings(tied, caplog):
    run(assert_right(Words(tied)))
    assert not logged(caplog)


def test_complex_parameters(caplog):
    torch.manual_seed(3)

    def loss(model, x):
        return (model(x.to(torch.complex128)) - 1).abs().square().mean()

    run(assert_right(nn.Linear(4, 2, dtype=torch.complex128), loss))
    assert not logged(caplog)


def test_compiled(caplog):
    run(assert_right(torch.compile(network(), backend="aot_eager")))
    assert not logged(caplog)


@pytest.mark.parametrize("unscaled", ["before", "in the step"])
def test_float16_with_a_scaler(unscaled, caplog):
    """Gradients of 1e-8 are zero in float16, unless losses are scaled."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=3e5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    recorder = Recorder(model, optimizer, None, every=1, scaler=scaler)

    def loss_of(model, x, precision=torch.float16):
        with torch.autocast("cpu", precision, enabled=precision is not None):
            return 1e-7 * (model(x).float() - 3).square().mean()

    for x in torch.randn(3, 8, 4):
        before = copy.deepcopy(model)
        with recorder.step(closure=partial(loss_of, model, x)) as probe:
            loss = loss_of(model, x)
            scaler.scale(loss).backward()
            if unscaled == "before":
                scaler.unscale_(optimizer)
            probe.observe(loss)
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
        wanted = expected(before, model, lambda m, x=x: loss_of(m, x, None))
        assert found(recorder) == pytest.approx(wanted, rel=0.03)
    assert not logged(caplog)


def test_a_lazy_module_has_no_weights_before_its_first_step(caplog):
    model = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.Linear(8, 1)).double()
    for recorder, *_ in train(model, count=2):
        known = [not math.isnan(number) for number in found(recorder)]
        assert known == [recorder.steps > 1] * 3
    assert len(logged(caplog)) == 1


def test_an_optimizer_in_the_backward_pass_takes_no_step_more(caplog):
    """As in torch's tutorial: each parameter's own optimizer steps in a hook."""
    weights = []
    for every in (1000, 1):
        model = network()
        optimizers = {p: torch.optim.SGD([p], lr=0.05) for p in model.parameters()}

        def step_now(parameter, optimizers=optimizers):
            optimizers[parameter].step()
            optimizers[parameter].zero_grad()

        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(step_now)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        recorder = run(train(model, optimizer=optimizer, every=every))
        weights.append(flat(model))
    assert torch.equal(*weights)
    assert recorder.last["step_norm"] > 0
    assert math.isnan(recorder.last["smoothness"])
    assert math.isnan(recorder.last["grad_norm"])  # the hooks leave no gradient to observe
    assert len(logged(caplog)) == 2


@pytest.mark.parametrize("fails", ["at once", "half-way"])
def test_a_closure_that_fails_costs_the_number_and_nothing_else(fails, caplog):
    states, calls = [], 0

    def closure(model, x):
        nonlocal calls
        calls += 1
        loss = loss_of(model, x)
        if fails == "at once" or calls > 1:
            raise torch.OutOfMemoryError("no memory\nis left")
        return loss

    for every in (1000, 1):
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(model.double().parameters(), lr=0.05, momentum=0.9)
        recorder = run(train(model, closure=closure, optimizer=optimizer, every=every))
        states.append(model.state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert math.isnan(recorder.last["smoothness"])
    assert recorder.last["step_norm"] > 0
    (line,) = logged(caplog)
    assert "the closure failed (OutOfMemoryError: no memory is left)" in line


class Replacing(nn.Module):
    """Keeps a running mean in a buffer that it replaces rather than writes to, and uses it."""

    def __init__(self):
        super().__init__()
        self.net = network()
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

    def forward(self, x):
        self.mean = 0.5 * self.mean + x.detach().mean(0)
        return self.net(x - self.mean)


def test_buffers_are_those_of_the_step_and_come_back(caplog):
    model, plain = Replacing(), Replacing()
    run(assert_right(model))
    run(train(plain, every=1000))
    assert torch.equal(model.mean, plain.mean)
    assert torch.equal(flat(model), flat(plain))
    assert not logged(caplog)


def test_gradients_come_back(caplog):
    """Tensors and their bits, None where there was none, of parameters elsewhere too."""
    model, elsewhere = Words(), nn.Parameter(torch.ones(1, dtype=torch.float64))
    unused = nn.Parameter(torch.ones(1, dtype=torch.float64))
    model.register_parameter("unused", unused)
    optimizer = torch.optim.SGD([*model.parameters(), elsewhere], lr=0.1)
    recorder = Recorder(model, optimizer, None, every=1)

    def loss_of(x):
        return (model(x) * elsewhere).square().mean()

    for x in batches(2):
        with recorder.step(closure=partial(loss_of, x)) as probe:
            loss = loss_of(x)
            loss.backward()
            probe.observe(loss)
            optimizer.step()
            parameters = [*model.parameters(), elsewhere]
            tensors = [p.grad for p in parameters]
            values = [None if g is None else g.to_dense().clone() for g in tensors]
        assert recorder.last["smoothness"] > 0
        for parameter, tensor, value in zip(parameters, tensors, values, strict=True):
            assert parameter.grad is tensor
            assert tensor is None or torch.equal(tensor.to_dense(), value)
        assert unused.grad is None
        optimizer.zero_grad()
    assert not logged(caplog)


def each_part(model, x):
    for part in x.chunk(4):
        yield loss_of(model, part) / 4


def last_part(model, x):
    return loss_of(model, x.chunk(4)[-1])


@pytest.mark.parametrize("observe", [lambda loss: loss, None], ids=["each part", "their mean"])
@pytest.mark.parametrize("closure", [each_part, loss_of])
def test_accumulated_micro_batches_are_one_step(closure, observe, caplog):
    steps = assert_right(network(), parts=4, closure=closure, observe=observe)
    for recorder, x, before in steps:
        assert recorder.last["loss"] == pytest.approx(loss_of(before, x).item(), rel=1e-12)
    assert not logged(caplog)


@pytest.mark.parametrize("raw", [False, True])
def test_a_closure_over_the_last_micro_batch_is_found_out(raw, caplog):
    for recorder, *_ in train(network(), parts=4, closure=last_part, raw_gradients=raw):
        assert math.isnan(recorder.last["smoothness"])
        assert recorder.last["step_norm"] > 0
    (line,) = logged(caplog)
    assert line.startswith("step 1: the closure's loss before the step is ")
    assert "\n" not in line


def test_a_closure_that_becomes_another_loss_on_the_way_is_found_out(caplog):
    """Right in the first step, of one micro-batch; wrong from the second on, and right at last."""

    def parts(step):
        return 4 if 2 <= step < 6 else 1

    def closure(model, x):
        return loss_of(model, x.chunk(parts(steps + 1))[-1])

    steps, rows = 0, []
    for recorder, *_ in train(network(), count=6, parts=parts, closure=closure):
        steps = recorder.steps
        rows.append(recorder.last["smoothness"])
    assert [math.isnan(row) for row in rows] == [False, True, True, True, True, False]
    assert len(logged(caplog)) == 1


def test_an_observed_loss_that_is_not_the_closures_is_logged_once(caplog):
    """Here the gradient is the observed one, and the smoothness right."""
    run(assert_right(network(), observe=lambda loss: loss / 4))
    assert len(logged(caplog)) == 1
