"""Source separation with adaptive gradient clipping (AutoClip, MLSP 2020).

::

    from autoclip_sep import AutoClip

The clippers, and torch with them, are imported on first access: importing this package is cheap.
Everything else is imported from its subpackage, as in ``from autoclip_sep.stft import STFT``.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autoclip_sep.clipping import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if name[:1].isupper():  # a class; submodules are looked up here, too, before their import
            clipping = importlib.import_module("autoclip_sep.clipping")
            if name in clipping.__all__:
                return getattr(clipping, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("autoclip_sep.clipping").__all__})
