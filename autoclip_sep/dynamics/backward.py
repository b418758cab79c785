"""Gradients of a closure's loss, by a backward pass like training's own that leaves no trace.

`torch.autograd.grad` would not do: DistributedDataParallel averages over processes, `fully_shard`
reduces to shards and reentrant checkpointing works at all only in what `.backward()` sets off.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoclip_sep import random_state
from autoclip_sep.clipping.gradients import refuse_fsdp1
from autoclip_sep.dynamics.smoothness import set_weights

Closure = Callable[[], Tensor | Iterable[Tensor]]


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """What lies in each parameter's ``.grad``, as dense copies; zeros where there is nothing."""
    return [_copy(parameter) for parameter in parameters]


def _copy(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter, requires_grad=False)
    gradient = gradient.detach()
    if gradient.layout != torch.strided:
        return gradient.to_dense()
    return gradient.clone().resolve_conj() if gradient.is_conj() else gradient.clone()


def evaluate(
    closure: Closure, parameters: Sequence[Tensor], scale: float = 1.0
) -> tuple[float, list[Tensor]]:
    """The closure's loss and its gradients at the parameters' present values, within `undisturbed`.

    closure: gives the loss, a 0-dim tensor, or the parts that it is the sum of, each of which is
        backpropagated before the next one is taken. One without a graph counts as backpropagated.
    scale: what losses are multiplied by for the backward pass, and gradients divided by after it.

    The gradients have the parameters' shapes. Raises ValueError where no parameter gets one.
    """
    for parameter in parameters:
        parameter.grad = None
    loss = 0.0
    with torch.enable_grad():
        found = closure()
        for part in [found] if isinstance(found, Tensor) else found:
            if part.requires_grad:
                (part * scale if scale != 1 else part).backward()
            loss += float(part.detach())
    if all(parameter.grad is None for parameter in parameters):
        raise ValueError("the closure's loss reaches no parameter")
    gradients = copies(parameters)
    return loss, gradients if scale == 1 else [gradient / scale for gradient in gradients]


class Buffers:
    """A model's buffers (BatchNorm's running statistics) as they are now, to be put back."""

    def __init__(self, model: nn.Module) -> None:
        self._found = [
            (module._buffers, name, buffer, None if buffer is None else buffer.detach().clone())
            for module in model.modules()
            for name, buffer in module._buffers.items()
        ]

    @torch.no_grad()
    def put_back(self) -> None:
        """The same tensors with the same bits, whether they were written to or replaced."""
        for place, name, buffer, value in self._found:
            place[name] = buffer
            if buffer is not None and value is not None:
                buffer.copy_(value)


class Start:
    """Weights, buffers and random state before a step, which closures are evaluated with.

    Raises ValueError where parameters are not initialized yet, and under FSDP1.
    """

    def __init__(self, model: nn.Module, parameters: list[Tensor]) -> None:
        refuse_fsdp1(parameters)
        self.parameters = parameters
        self.weights = [parameter.detach().clone() for parameter in parameters]
        self._buffers, self._random = Buffers(model), random_state.capture()

    def surroundings(self) -> None:
        """Buffers and random state, for the step's own dropout masks, as they were then."""
        self._buffers.put_back()
        random_state.restore(self._random)

    @contextmanager
    def returned(self) -> Iterator[None]:
        """The parameters are at the start within, and end where they are now."""
        end = [parameter.detach().clone() for parameter in self.parameters]
        set_weights(self.parameters, self.weights)
        try:
            yield
        finally:
            set_weights(self.parameters, end)


@contextmanager
def undisturbed(model: nn.Module, parameters: Iterable[Tensor]) -> Iterator[None]:
    """The parameters' ``.grad``, buffers and random state end as they came, bit for bit."""
    random_now, buffers = random_state.capture(), Buffers(model)
    # The tensors and what is in them: DDP writes the next gradients where the last ones lie
    # (gradient_as_bucket_view). It replaces sparse ones.
    found = [
        (p, p.grad, None if p.grad is None or p.grad.layout != torch.strided else p.grad.clone())
        for p in parameters
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, gradient, value in found:
                parameter.grad = gradient
                if gradient is not None and value is not None:
                    gradient.copy_(value)
        buffers.put_back()
        random_state.restore(random_now)
