"""The loop that every framework's run is compared with: the same network, batches and protocol."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from autoclip_sep.clipping import Clipper

BATCHES, BATCH_SIZE = 12, 4


def network() -> nn.Sequential:
    generator = torch.random.get_rng_state()
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    torch.random.set_rng_state(generator)
    return layers


def examples(bad_batch: int | None = None) -> Tensor:
    """(examples, 5), of very different sizes, so that norms differ; one batch may hold a NaN."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCHES * BATCH_SIZE, 5, generator=generator)
    inputs = inputs * torch.rand(len(inputs), 1, generator=generator).mul(4).exp2()
    if bad_batch is not None:
        inputs[bad_batch * BATCH_SIZE, 0] = math.nan
    return inputs


def loss_of(model: nn.Module, inputs: Tensor) -> Tensor:
    return (model(inputs).float() - 3).square().mean()


OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
}


def run(
    clipper: Clipper,
    optimizer: str = "adamw",
    *,
    epochs: int = 2,
    accumulate: int = 1,
    bad_batch: int | None = None,
    precision: torch.dtype | None = None,
    scaler: GradScaler | None = None,
) -> SimpleNamespace:
    """What the protocol does by hand: weights (a tensor), optimizer (its state), clipper."""
    model = network()
    opt = OPTIMIZERS[optimizer](model.named_parameters())
    scaler = scaler or GradScaler("cpu", enabled=False)
    for _ in range(epochs):
        for number, batch in enumerate(examples(bad_batch).split(BATCH_SIZE), start=1):
            # Without the cache the casts of weights are taken anew, as Lightning has it.
            context = torch.autocast("cpu", precision, cache_enabled=False)
            with context if precision else nullcontext():
                loss = loss_of(model, batch) / accumulate
            scaler.scale(loss).backward()
            if number % accumulate:
                continue
            scaler.unscale_(opt)
            finite = all(bool(p.grad.isfinite().all()) for p in model.parameters())
            skips = scaler.is_enabled() and not finite  # which the scaler does before the clipper
            if skips or clipper.clip_gradients(model.named_parameters()).finite:
                scaler.step(opt)
            scaler.update()
            opt.zero_grad()
    return SimpleNamespace(weights=weights(model), optimizer=opt.state_dict(), clipper=clipper)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def history(clipper: Clipper) -> Tensor:
    return clipper.history


@pytest.fixture
def plain() -> SimpleNamespace:
    """`run` and what it is made of, for the frameworks' loops to use."""
    return SimpleNamespace(
        run=run,
        network=network,
        examples=examples,
        loss_of=loss_of,
        optimizers=OPTIMIZERS,
        weights=weights,
        history=history,
        batches=BATCHES,
        batch_size=BATCH_SIZE,
    )
