"""What every clipper counts, and its state."""

from typing import Any, TypeAlias

from torch import Tensor

from autoclip_sep.clipping._arguments import whole_number

STATE_VERSION = 2  # 1: rows of numbers were tensors, zeros weren't counted
COUNTS = ("steps", "clipped", "skipped", "zeros", "nonfinite_in_a_row")
State: TypeAlias = dict[str, Any]


class Counted:
    """Counts of steps, on the device while a clipper's `step` is in use, and what else is saved."""

    def __init__(self) -> None:
        self._step_counts: dict[str, int | Tensor] = dict.fromkeys(COUNTS, 0)

    @property
    def steps(self) -> int:
        """Steps in all, of which there was any gradient."""
        return int(self._step_counts["steps"])

    @property
    def clipped(self) -> int:
        """Steps in which something was clipped."""
        return int(self._step_counts["clipped"])

    @property
    def skipped(self) -> int:
        """Steps whose gradient norm wasn't finite."""
        return int(self._step_counts["skipped"])

    @property
    def zeros(self) -> int:
        """Steps whose gradient was exactly zero: nothing to limit, and nothing to learn from."""
        return int(self._step_counts["zeros"])

    @property
    def _recorded(self) -> int:
        """Steps that said something about the size of gradients, the present one included."""
        return self.steps - self.skipped - self.zeros

    def state_dict(self) -> State:
        """Everything needed to go on exactly: numbers and lists of numbers only."""
        return {
            "version": STATE_VERSION,
            **{name: int(count) for name, count in self._step_counts.items()},
            **self._state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Takes over a state; raises ValueError, changing nothing, where it isn't this class'."""
        if state.get("version") not in (1, STATE_VERSION):
            raise ValueError(
                f"clipper state of version {state.get('version')!r}, {STATE_VERSION} is wanted"
            )
        own = set(self.state_dict())
        if state["version"] == 1:
            state = {**dict.fromkeys((key for key in own if key.endswith("zeros")), 0), **state}
        wrong = sorted(set(state) ^ own)
        if wrong:
            raise ValueError(
                f"not a state of {type(self).__name__}: entries {', '.join(wrong)} don't match"
            )
        counts: dict[str, int | Tensor] = {
            name: whole_number(f"{name} in a clipper's state", state[name], 0) for name in COUNTS
        }
        self._load(state)
        self._step_counts = counts

    def _state(self) -> State:
        """A subclass' own part of the state."""
        return {}

    def _load(self, state: State) -> None:
        """Takes over a subclass' own part; raises ValueError before changing anything."""

    def _add_counts(self, **more: int | Tensor) -> None:
        for name, number in more.items():
            self._step_counts[name] = self._step_counts[name] + number
