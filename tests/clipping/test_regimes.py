"""Clipping where training isn't one batch, one device type, one dense float32 network."""

import math

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from autoclip_sep.clipping import AGC, AutoClip, NoClipping, NormClipping
from tests.clipping import loops
from tests.clipping.loops import backward, norm_of


def network():
    return loops.network(torch.float64)


def history(clipper):
    return clipper.history.tolist()


def train(parts, scaler=None, *, attached=False, fused=False):
    """The history of 20 steps, each of a batch in so many parts."""
    model, clipper = network() if scaler is None else network().float(), AutoClip()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    if attached:
        clipper.attach(optimizer, scaler)
    scaler = scaler or GradScaler("cpu", enabled=False)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for inputs in torch.randn(8, 5, generator=generator).chunk(parts):
            loss = (model(inputs.to(model[0].weight)) - 3).square().mean() / parts
            scaler.scale(loss).backward()
        if not attached:
            scaler.unscale_(optimizer)
            clipper.clip_gradients(model.parameters())
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return history(clipper)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_gives_the_history_of_the_whole_batch(parts):
    assert len(train(parts)) == 20
    assert train(parts) == pytest.approx(train(1), rel=1e-9)


@pytest.mark.parametrize("attached", [False, True], ids=["protocol", "attached"])
@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_accumulation_of_scaled_gradients(attached, fused):
    scaler = GradScaler("cpu", init_scale=1024.0)
    found = train(4, scaler, attached=attached, fused=fused)
    assert found == pytest.approx(train(1), rel=1e-3)


def test_a_threshold_for_each_group_of_an_optimizer():
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.001)
    guard, clippers = NoClipping(), [AutoClip(0), AutoClip(50)]
    norms, applied = [], 0
    for step in range(30):
        backward(model, step)
        if step == 20:
            model[2].bias.grad[0] = math.inf  # in one group only
        if guard.clip_gradients(model.named_parameters()).finite:
            for clipper, group in zip(clippers, optimizer.param_groups, strict=True):
                norms.append(clipper.clip_gradients(group["params"]).norm.item())
            optimizer.step()
            applied += 1
        optimizer.zero_grad()
    assert (applied, guard.steps, guard.skipped) == (29, 30, 1)
    assert [history(clipper) for clipper in clippers] == [norms[0::2], norms[1::2]]
    assert len(norms) == 58
    assert clippers[0].clipped > clippers[1].clipped > 0
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_frozen_parameters_take_no_part():
    model, clipper = network(), AutoClip()
    model[0].requires_grad_(False)
    model(torch.ones(2, 5).double()).sum().backward()
    result = clipper.clip_gradients(model.named_parameters())
    assert result.norm.item() == pytest.approx(norm_of(model[2]))


def test_sparse_and_dense_gradients_together():
    torch.manual_seed(0)
    table, head = nn.Embedding(20, 4, sparse=True), nn.Linear(4, 1)
    dense_table, dense_head = nn.Embedding(20, 4), nn.Linear(4, 1)
    dense_table.load_state_dict(table.state_dict())
    dense_head.load_state_dict(head.state_dict())

    def run(table, head):
        parameters = [*table.parameters(), *head.parameters()]
        optimizer, clipper = torch.optim.SGD(parameters, lr=0.1), AutoClip()
        for step in range(15):
            rows = torch.arange(6) * (step + 1) % 20
            (head(table(torch.cat([rows, rows[:2]]))) - 1).square().sum().backward()
            clipper.clip_gradients(parameters)
            optimizer.step()
            optimizer.zero_grad()
        return history(clipper)

    assert run(table, head) == pytest.approx(run(dense_table, dense_head), rel=1e-4)


def test_a_lazily_conjugated_gradient():
    weight = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    weight.grad = torch.tensor([3j, 4.0]).conj()
    result = NormClipping(1.0).clip_gradients([weight])
    assert result.norm == 5
    torch.testing.assert_close(weight.grad.resolve_conj(), torch.tensor([-0.6j, 0.8]))
    weight.data = weight.data.conj()
    weight.grad = torch.tensor([3j, 4.0])
    AGC(exclude=()).clip_gradients([weight])
    assert weight.grad.abs().max() < 1e-4


def test_mixed_precisions_in_one_network():
    model, clipper = network(), AutoClip(0)
    model[2].to(torch.bfloat16)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert clipper.clip_gradients(model.parameters()).scale == 1
    count = sum(p.numel() for p in model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 4.0)
    result = clipper.clip_gradients(model.parameters())
    assert result.norm.item() == pytest.approx(4 * count**0.5)
    assert all((p.grad == 1).all() for p in model.parameters())


def test_a_compiled_network():
    model, clipper, other = network(), AutoClip(), AutoClip()
    for run, clip in ((model, clipper), (torch.compile(model, backend="aot_eager"), other)):
        for step in range(3):
            model.zero_grad()
            backward(run, step)
            clip.clip_gradients(run.parameters())
    assert history(other) == pytest.approx(history(clipper), rel=1e-12)


def test_gradients_inside_an_autocast_region_keep_their_precision():
    model, clipper = network().float(), AutoClip()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.ones(4, 5)).square().sum().backward()
        result = clipper.clip_gradients(model.parameters())
    assert result.norm.dtype == torch.float32
    assert result.norm.item() == pytest.approx(norm_of(model), rel=1e-6)
