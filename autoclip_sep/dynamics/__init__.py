"""Training dynamics of any loop: step size, loss, gradient norm and smoothness."""

from autoclip_sep.dynamics.recorder import COLUMNS, Probe, Recorder
from autoclip_sep.dynamics.smoothness import smoothness

__all__ = ["COLUMNS", "Probe", "Recorder", "smoothness"]
