"""Training dynamics of any loop: step size, loss, gradient norm and smoothness.

`Recorder` writes them down during training; `replay` asks recorded norms what AutoClip would have
done with them.
"""

from autoclip_sep.dynamics.recorder import COLUMNS, Probe, Recorder
from autoclip_sep.dynamics.replay import Replay, replay
from autoclip_sep.dynamics.smoothness import smoothness

__all__ = ["COLUMNS", "Probe", "Recorder", "Replay", "replay", "smoothness"]
