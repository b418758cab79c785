"""What every clipper counts, and its state in checkpoints."""

from typing import Any, TypeAlias

from torch import Tensor

from autoclip_sep.clipping._arguments import integer

STATE_VERSION = 2  # 1: rows of numbers were tensors, zeros weren't counted
COUNTS = ("steps", "clipped", "skipped", "zeros", "nonfinite_in_a_row")
State: TypeAlias = dict[str, Any]


class Counters:
    """Step counts, which lie on the device while `Clipper.step` is in use, and the saved state."""

    def __init__(self) -> None:
        self._step_counts: dict[str, int | Tensor] = dict.fromkeys(COUNTS, 0)

    @property
    def steps(self) -> int:
        """All steps in which any parameter had a gradient."""
        return int(self._step_counts["steps"])

    @property
    def clipped(self) -> int:
        """Steps in which something was clipped."""
        return int(self._step_counts["clipped"])

    @property
    def skipped(self) -> int:
        """Steps whose gradient norm was non-finite."""
        return int(self._step_counts["skipped"])

    @property
    def zeros(self) -> int:
        """Steps whose gradient was exactly zero: nothing to clip, and nothing to learn from."""
        return int(self._step_counts["zeros"])

    @property
    def _recorded(self) -> int:
        """Steps whose norm entered the history, the present one included."""
        return self.steps - self.skipped - self.zeros

    def state_dict(self) -> State:
        """Everything needed to resume exactly: numbers and lists of numbers only."""
        return {
            "version": STATE_VERSION,
            **{name: int(count) for name, count in self._step_counts.items()},
            **self._state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restores a state; raises ValueError, changing nothing, for one of another class."""
        version = state.get("version")
        if version not in (1, STATE_VERSION):
            raise ValueError(
                f"a clipper's state must be of version {STATE_VERSION}, not {version!r}"
            )
        own = set(self.state_dict())
        if version == 1:
            state = {**dict.fromkeys((key for key in own if key.endswith("zeros")), 0), **state}
        wrong = sorted(set(state) ^ own)
        if wrong:
            raise ValueError(
                f"not a state of {type(self).__name__}: entries {', '.join(wrong)} don't match"
            )
        counts: dict[str, int | Tensor] = {
            name: integer(f"{name} in a clipper's state", state[name], 0) for name in COUNTS
        }
        self._load(state)
        self._step_counts = counts

    def _state(self) -> State:
        """A subclass's own part of the state."""
        return {}

    def _load(self, state: State) -> None:
        """Restores a subclass's own part; raises ValueError before changing anything."""

    def _add_counts(self, **more: int | Tensor) -> None:
        for name, number in more.items():
            self._step_counts[name] = self._step_counts[name] + number
