"""The loop that every framework's run is compared with: the same network, batches and protocol."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

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


def batches(bad_batch: int | None = None) -> tuple[Tensor, ...]:
    return examples(bad_batch).split(BATCH_SIZE)


def loss_of(model: nn.Module, inputs: Tensor) -> Tensor:
    return (model(inputs).float() - 3).square().mean()


OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
}


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def outcome(model: nn.Module, optimizer: Any, clipper: Clipper) -> SimpleNamespace:
    """What two runs are compared by: weights, the optimizer's state, the clipper."""
    state = optimizer.state_dict()["state"]
    return SimpleNamespace(weights=weights(model), optimizer=state, clipper=clipper)


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
    """What the protocol does by hand."""
    model = network()
    opt = OPTIMIZERS[optimizer](model.named_parameters())
    scaler = scaler or GradScaler("cpu", enabled=False)
    for _ in range(epochs):
        for number, batch in enumerate(batches(bad_batch), start=1):
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
    return outcome(model, opt, clipper)
