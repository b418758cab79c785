"""What loops that were written for the first edition call."""

import warnings
from typing import Any


class FormerNames:
    """The hooks by the names they had."""

    def limit_loss(self: Any, loss: Any) -> Any:
        """Now `clip_loss`."""
        _warn("limit_loss", "clip_loss")
        return self.clip_loss(loss)

    def limit_gradients(self: Any, parameters: Any) -> Any:
        """Now `clip_gradients`."""
        _warn("limit_gradients", "clip_gradients")
        return self.clip_gradients(parameters)


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is called {new} now", DeprecationWarning, stacklevel=3)
