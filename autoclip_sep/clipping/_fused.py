"""Clipping inside a fused optimizer's step: the host learns nothing, and waits for nothing.

A fused optimizer takes two numbers from GradScaler, `grad_scale` to divide gradients by and
`found_inf` to skip the step. Both may come from a clipper: gradients are then read twice in all,
once for the norm and once for the step.
"""

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from autoclip_sep.clipping._wrapping import is_intercepted
from autoclip_sep.clipping.norms import wide


def require_fused(optimizer: Optimizer) -> None:
    """Raises ValueError unless every group of the optimizer is fused, and no clipper attached."""
    if is_intercepted(optimizer, "step"):
        raise ValueError(
            "step() of an optimizer with a clipper attached would clip twice: call "
            "optimizer.step(), or remove() the handle first"
        )
    if not all(group.get("fused") for group in optimizer.param_groups):
        kind = type(optimizer).__name__
        raise ValueError(
            f"step() needs fused=True, which this {kind} was made without: "
            "call clip_gradients and then optimizer.step()"
        )


def fused_step(optimizer: Optimizer, divisor: Tensor, finite: Tensor) -> None:
    """Steps with the gradients divided by `divisor`, () float32, or not at all unless `finite`."""
    if _makes_momentum(optimizer) and not finite:
        # torch's kernel skips such a step but leaves the new momentum buffers uninitialised.
        return
    optimizer.grad_scale = divisor  # type: ignore[attr-defined]
    optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        del optimizer.grad_scale, optimizer.found_inf  # type: ignore[attr-defined]


def _makes_momentum(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, SGD) and any(
        group["momentum"] and not optimizer.state.get(parameter, {})
        for group in optimizer.param_groups
        for parameter in group["params"]
    )


class DelayedCount:
    """A count on the device that reaches the host some steps later, without a wait for it."""

    def __init__(self, device: torch.device) -> None:
        on_cuda = device.type == "cuda"
        self._copy = torch.zeros((), dtype=torch.int64, pin_memory=on_cuda, device="cpu")
        self._arrived = torch.cuda.Event() if on_cuda else None
        self._known: int = 0

    def send(self, count: Tensor) -> None:
        """Starts a copy to the host, unless the previous one is still under way."""
        if self._arrived is None or self._arrived.query():
            self._copy.copy_(count, non_blocking=True)
            if self._arrived is not None:
                self._arrived.record()

    def latest(self) -> int:
        """The latest count that has arrived."""
        if self._arrived is None or self._arrived.query():
            self._known = self._copy.unsqueeze(0).tolist()[0]
        return self._known


class DeviceHistory:
    """`History` on the device, where no index may depend on what the host knows.

    The entries in order of arrival lie in a buffer that doubles when full, or in a ring as long as
    the window. Each step makes the sorted ones anew in a few passes over them: bandwidth that an
    accelerator has to spare. Unused places hold inf.
    """

    def __init__(self, entries: Tensor, device: torch.device, window: int | None = None) -> None:
        self._window = window
        self._steps = len(entries)  # an upper bound of the count, known without a host read
        self._count = torch.full((), self._steps, dtype=torch.int64, device=device)
        kept = entries.to(device, wide(device))
        self._arrived = _padded(kept, window or 2 * self._steps + 64)
        self._sorted = kept.sort().values

    def append(self, value: Tensor, keep: Tensor) -> None:
        """Adds a norm, () of the device's widest float, if `keep`, () bool.

        Forgets the oldest as `History` does.
        """
        self._steps += 1
        if self._window is None and self._steps > len(self._arrived):
            self._arrived = _padded(self._arrived, 2 * self._steps)
        place = (self._count % len(self._arrived)).unsqueeze(0)
        oldest = self._arrived.take(place)
        self._arrived.index_copy_(0, place, torch.where(keep, value, oldest))
        if len(self._sorted) == self._window:
            self._sorted = _without(self._sorted, torch.where(keep, oldest, torch.inf))
        added = _with(self._sorted, torch.where(keep, value, torch.inf))
        self._sorted = added[: self._window]
        self._count = self._count + keep

    def percentile(self, percentile: float) -> Tensor:
        """As `History.percentile`: (), NaN for an empty history."""
        # Both ends of the range are numbers that the host knows.
        last = (self._count - 1).clamp(0, max(len(self._sorted) - 1, 0))
        position = percentile / 100 * last.to(self._sorted.dtype)
        below = position.floor()
        low = self._sorted.take(below.long())
        high = self._sorted.take(position.ceil().long())
        part, gap = position - below, high - low
        return torch.where(part < 0.5, low + gap * part, high - gap * (1 - part))

    def tensor(self) -> Tensor:
        """The entries, oldest first: (entries,) float64 on the host. This waits for the device."""
        count, size = int(self._count), len(self._arrived)
        oldest = count % size if count > size else 0
        return self._arrived[:count].roll(-oldest).cpu().double()


def _padded(entries: Tensor, capacity: int) -> Tensor:
    buffer = entries.new_full((capacity,), torch.inf)
    buffer[: len(entries)] = entries
    return buffer


def _with(ascending: Tensor, number: Tensor) -> Tensor:
    """Ascending numbers, (n,) to (n + 1,), with one more in its place."""
    end = ascending.new_full((1,), torch.inf)
    # Below its place the number is cut to what was there, above it to what was one place lower.
    return torch.clamp(number, torch.cat((-end, ascending)), torch.cat((ascending, end)))


def _without(ascending: Tensor, number: Tensor) -> Tensor:
    """Ascending numbers, (n,), with an inf at their end in place of one that is among them."""
    end = ascending.new_full((1,), torch.inf)
    return torch.where(ascending < number, ascending, torch.cat((ascending[1:], end)))
