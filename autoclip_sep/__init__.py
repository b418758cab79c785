"""Source separation with adaptive gradient clipping (AutoClip, MLSP 2020).

Importing this package costs nothing: each room is imported by name, for example
``from autoclip_sep.clipping import AutoClip``.
"""

__version__ = "0.1.0"
