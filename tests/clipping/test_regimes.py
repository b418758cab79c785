"""Clipping where training isn't one batch, one device type, one dense float32 network."""

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def history(clipper):
    return clipper.state_dict()["history"].tolist()


def train(parts):
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for inputs in torch.randn(8, 5, generator=generator).double().chunk(parts):
            ((model(inputs) - 3).square().mean() / parts).backward()
        clipper.limit_gradients(model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    return history(clipper)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_gives_the_history_of_the_whole_batch(parts):
    assert len(train(parts)) == 20
    assert train(parts) == pytest.approx(train(1), rel=1e-9)


def test_frozen_parameters_take_no_part():
    model, clipper = network(), AutoClip()
    model[0].requires_grad_(False)
    model(torch.ones(2, 5).double()).sum().backward()
    result = clipper.limit_gradients(model.named_parameters())
    own = torch.cat([p.grad.flatten() for p in model[2].parameters()]).norm()
    assert result.norm.item() == pytest.approx(own.item())


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
            clipper.limit_gradients(parameters)
            optimizer.step()
            optimizer.zero_grad()
        return history(clipper)

    assert run(table, head) == pytest.approx(run(dense_table, dense_head), rel=1e-5)


def test_mixed_precisions_in_one_network():
    model, clipper = network(), AutoClip(0)
    model[2].to(torch.bfloat16)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert clipper.limit_gradients(model.parameters()).scale == 1
    count = sum(p.numel() for p in model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 4.0)
    result = clipper.limit_gradients(model.parameters())
    assert result.norm.item() == pytest.approx(4 * count**0.5)
    assert all((p.grad == 1).all() for p in model.parameters())


def test_a_compiled_network():
    model, clipper = network(), AutoClip()
    compiled, other = torch.compile(model, backend="aot_eager"), AutoClip()
    inputs = torch.ones(4, 5).double()
    for run, clip in ((model, clipper), (compiled, other)):
        for _ in range(3):
            model.zero_grad()
            run(inputs).square().sum().backward()
            clip.limit_gradients(run.parameters())
    assert history(other) == pytest.approx(history(clipper), rel=1e-12)


def test_gradients_inside_an_autocast_region_keep_their_precision():
    model, clipper = network().float(), AutoClip()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.ones(4, 5)).square().sum().backward()
        result = clipper.limit_gradients(model.parameters())
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert result.norm.dtype == torch.float32
    assert result.norm.item() == pytest.approx(norm.item(), rel=1e-6)
