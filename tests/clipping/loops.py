"""The network, the batches and the loop that clippers are tested with; comparisons to the bit."""

import copy
import math
from functools import partial

import torch
from torch import nn

# Of tensors and numbers, however they are nested.
assert_same = partial(torch.testing.assert_close, rtol=0, atol=0, equal_nan=True)


def network(dtype=torch.float32, *, bias=True):
    """Two layers, the same in every run."""
    torch.manual_seed(3)
    layers = nn.Linear(5, 8, bias=bias), nn.Tanh(), nn.Linear(8, 2, bias=bias)
    return nn.Sequential(*layers).to(dtype)


def backward(model, step=0, *, clip_loss=lambda losses: losses, scaler=None, bad=False):
    """The backward pass of the step's own batch, which leaves a NaN if bad; returns the loss."""
    parameter = next(model.parameters())
    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(step)).to(parameter)
    loss = clip_loss((model(inputs) - 3).square().mean(dim=1)).mean()
    (loss if scaler is None else scaler.scale(loss)).backward()
    if bad:
        parameter.grad[0, 0] = math.nan
    return loss.detach()


def step(clipper, norm):
    """Clip one gradient of that norm; the result, and the norm that is left."""
    parameter = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    parameter.grad = torch.tensor([0.0, norm], dtype=torch.float64)
    result = clipper.clip_gradients([parameter])
    return result, parameter.grad.norm().item()


def train(model, clipper, optimizers, steps, bad=()):
    """What the documentation calls the protocol; returns the results of all steps."""
    results = []
    optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
    for step in steps:
        backward(model, step, clip_loss=clipper.clip_loss, bad=step in bad)
        results.append(clipper.clip_gradients(model.named_parameters()))
        if results[-1].finite:
            for optimizer in optimizers:
                optimizer.step()
        model.zero_grad()
    return results


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def norm_of(model):
    """Of all gradients together."""
    gradients = [p.grad.flatten().double() for p in model.parameters() if p.grad is not None]
    return torch.cat(gradients).norm().item()


def numbers(value):
    """A number or a list of a clipper's state, as float64."""
    return torch.as_tensor(value, dtype=torch.float64)


def memory(model, *optimizers):
    """All that a step may change, as copies that two networks can be compared by."""
    places = {id(p): f"parameter {i}" for i, p in enumerate(model.parameters())}
    kept = [
        [o.state, [dict(g, params=None, param_names=None) for g in o.param_groups]]
        for o in optimizers
    ]
    return copy.deepcopy([weights(model), *(_by_place(each, places) for each in kept)])


def _by_place(value, places):
    """With names in place of the parameters that are keys."""
    if isinstance(value, dict):
        return {places.get(id(k), k): _by_place(v, places) for k, v in value.items()}
    return [_by_place(v, places) for v in value] if isinstance(value, list) else value
