"""Training dynamics of any loop: step size, loss, gradient norm and smoothness.

`Recorder` writes them down during training, `Spikes` the examples of batches whose gradients stood
out; `replay` asks recorded norms what AutoClip would have done with them.
"""

from autoclip_sep.dynamics.recorder import COLUMNS, Probe, Recorder
from autoclip_sep.dynamics.replay import Replay, replay
from autoclip_sep.dynamics.smoothness import smoothness
from autoclip_sep.dynamics.spikes import SPIKE_COLUMNS, Spikes

__all__ = [
    "COLUMNS",
    "SPIKE_COLUMNS",
    "Probe",
    "Recorder",
    "Replay",
    "Spikes",
    "replay",
    "smoothness",
]
