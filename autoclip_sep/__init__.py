"""Source separation with adaptive gradient clipping (AutoClip, MLSP 2020).

::

    from autoclip_sep import AutoClip

The clippers are imported, and torch with them, when one is asked for: importing this package costs
nothing. Everything else is imported from its room, as in ``from autoclip_sep.stft import STFT``.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autoclip_sep.clipping import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if name[:1].isupper():  # a class; rooms are looked for here, too, before they are imported
            clipping = importlib.import_module("autoclip_sep.clipping")
            if name in clipping.__all__:
                return getattr(clipping, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("autoclip_sep.clipping").__all__})
