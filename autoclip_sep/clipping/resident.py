"""Clipping that never leaves the device: the host learns nothing in a step, and waits for nothing.

A fused optimizer takes two numbers from GradScaler, `grad_scale` to divide gradients by and
`found_inf` to skip the step. Both may come from a clipper: gradients are then read twice in all,
once for the norm and once for the step.
"""

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


def require_fused(optimizer: Optimizer) -> None:
    """Raises ValueError unless every group of the optimizer is fused."""
    if not all(group.get("fused") for group in optimizer.param_groups):
        kind = type(optimizer).__name__
        raise ValueError(
            f"step() needs fused=True, which this {kind} was made without: "
            "call limit_gradients and then optimizer.step()"
        )


def fused_step(optimizer: Optimizer, divisor: Tensor, finite: Tensor) -> None:
    """Steps with the gradients divided by `divisor`, () float32, or not at all unless `finite`."""
    if _first_of_momentum(optimizer) and not finite:
        # torch's kernel skips such a step but leaves the new momentum buffers uninitialised.
        return
    optimizer.grad_scale = divisor  # type: ignore[attr-defined]
    optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        del optimizer.grad_scale, optimizer.found_inf  # type: ignore[attr-defined]


def _first_of_momentum(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, SGD) and any(
        group["momentum"] and not optimizer.state.get(parameter, {})
        for group in optimizer.param_groups
        for parameter in group["params"]
    )


class Watch:
    """A count on the device that the host gets to know a little later, without waiting for it."""

    def __init__(self, device: torch.device) -> None:
        on_cuda = device.type == "cuda"
        self._copy = torch.zeros((), dtype=torch.int64, pin_memory=on_cuda)
        self._arrived = torch.cuda.Event() if on_cuda else None
        self._known: int = 0

    def send(self, count: Tensor) -> None:
        """Starts a copy to the host, unless the one before is still under way."""
        if self._arrived is None or self._arrived.query():
            self._copy.copy_(count, non_blocking=True)
            if self._arrived is not None:
                self._arrived.record()

    def latest(self) -> int:
        """The latest count that has arrived."""
        if self._arrived is None or self._arrived.query():
            self._known = self._copy.unsqueeze(0).tolist()[0]
        return self._known


class ResidentHistory:
    """What `History` is, on the device: (capacity,) float64 buffers that double when full.

    An insertion moves the whole buffer: bandwidth that an accelerator has to spare, and no place
    has to be known on the host.
    """

    def __init__(self, entries: Tensor, device: torch.device) -> None:
        self._steps = entries.numel()  # an upper bound of the count, known without asking
        self._count = torch.full((), self._steps, dtype=torch.int64, device=device)
        kept = entries.to(device)
        self._arrived = _padded(kept, 2 * self._steps + 64)
        self._sorted = _padded(kept.sort().values, 2 * self._steps + 64)
        self._places = torch.arange(len(self._sorted), device=device)

    def append(self, value: Tensor, wanted: Tensor) -> None:
        """Adds a number, () float64, if `wanted`, () bool."""
        self._steps += 1
        if self._steps > len(self._sorted):
            self._arrived = _padded(self._arrived, 2 * self._steps)
            self._sorted = _padded(self._sorted, 2 * self._steps)
            self._places = torch.arange(2 * self._steps, device=value.device)
        # What isn't wanted is written too, and written over by the next one.
        self._arrived.index_copy_(0, self._count.unsqueeze(0), value.unsqueeze(0))
        place = torch.searchsorted(self._sorted, value)
        moved_up = torch.where(self._places == place, value, self._sorted.roll(1))
        self._sorted = torch.where(wanted & (self._places >= place), moved_up, self._sorted)
        self._count = self._count + wanted

    def count(self) -> Tensor:
        """How many entries there are: () int64."""
        return self._count

    def percentile(self, percentile: float) -> Tensor:
        """As `History.percentile`: () float64, inf of an empty history."""
        position = percentile / 100 * (self._count - 1).clamp(min=0).double()
        below = position.floor()
        low = self._sorted.take(below.long())
        high = self._sorted.take(position.ceil().long())
        part = position - below
        from_below = low + (high - low) * part
        from_above = high - (high - low) * (1 - part)
        return torch.where(low == high, low, torch.where(part < 0.5, from_below, from_above))

    def tensor(self) -> Tensor:
        """The entries, oldest first: (entries,) float64 on the host. This waits for the device."""
        return self._arrived[: int(self._count)].cpu()


def _padded(entries: Tensor, capacity: int) -> Tensor:
    buffer = torch.full((capacity,), torch.inf, dtype=torch.float64, device=entries.device)
    buffer[: len(entries)] = entries
    return buffer
