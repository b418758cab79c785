"""Learning-rate schedules, stepped once an epoch with the validation loss."""

from typing import Any, Protocol, runtime_checkable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from autoclip_sep.clipping.arguments import whole_number


@runtime_checkable
class Scheduler(Protocol):
    """What the trainer asks of a schedule."""

    def step(self, valid_loss: float) -> None:
        """Set the learning rate of the next epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for exact resume."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


class Constant:
    """The learning rate stays what the optimizer was given."""

    def __init__(self, optimizer: Optimizer) -> None:
        pass

    def step(self, valid_loss: float) -> None:
        """Nothing changes."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def plateau(optimizer: Optimizer, factor: float = 0.5, patience: int = 5) -> Scheduler:
    """Multiply the rate by `factor` where the validation loss hasn't fallen for longer than
    `patience` epochs.

    A fall of less than a ten-thousandth is none; below zero, torch takes a rise that small for one.
    """
    if not 0 < factor < 1:
        raise ValueError(f"factor must be between 0 and 1, not {factor}")
    whole_number("patience", patience, 0)
    return ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
