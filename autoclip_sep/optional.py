"""Packages that may be missing or fail to import.

museval and nussl import musdb, and through it stempeg, which raises unless ffmpeg and ffprobe are
on PATH. Neither needs musdb for the functions used here, so an empty module stands in for it during
the import.
"""

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from autoclip_sep.errors import InputError

# Where pip's name differs from the module's.
_DISTRIBUTIONS = {
    "espeakng_loader": "espeakng-loader",
    "hydra": "hydra-core",
    "mlflow": "'autoclip_sep[loggers]'",
    "nussl": "--no-deps nussl==1.1.9",
    "tensorboard": "'autoclip_sep[loggers]'",
    "yaml": "pyyaml",
}

# Window functions that nussl 1.1.9 looks up in scipy.signal; scipy 1.13 left them in
# scipy.signal.windows only.
_MOVED_WINDOWS = ("hamming", "hann", "blackman")


def require(name: str, purpose: str) -> ModuleType:
    """The module of that name.

    purpose: what it is needed for, as the start of a sentence: "reading stems".
    Raises InputError where the import fails, with the reason and the package to install.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        package = name.partition(".")[0]
        install = f"pip install {_DISTRIBUTIONS.get(package, package)}"
        reason = " ".join(str(error).split())
        raise InputError(
            f"{purpose} needs the package {package}, which doesn't import here ({reason}): "
            f"{install}, or make install in a checkout"
        ) from error


def import_museval() -> ModuleType:
    """museval (BSS Eval v4), with or without ffmpeg. Raises InputError where it is missing."""
    with _stand_in("musdb", unless=("ffmpeg", "ffprobe")):
        return require("museval", "BSS Eval v4")


def import_nussl() -> ModuleType:
    """nussl 1.1.9, with or without ffmpeg and SoX, on scipy of any age.

    Raises InputError where it is missing.
    """
    # Without soxbindings nussl takes the package sox, which calls the command and prints warnings.
    with (
        _stand_in("musdb", unless=("ffmpeg", "ffprobe")),
        _stand_in("soxbindings", unless=("sox",)),
        _restored_windows(),
    ):
        return require("nussl", "nussl")


@contextmanager
def _stand_in(name: str, *, unless: tuple[str, ...]) -> Iterator[None]:
    """An empty module of that name, unless it is imported or the commands are on PATH."""
    if name in sys.modules or all(shutil.which(command) for command in unless):
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _restored_windows() -> Iterator[None]:
    """scipy.signal with the window functions that it had before 1.13."""
    signal = require("scipy.signal", "nussl")
    windows = require("scipy.signal.windows", "nussl")
    missing = [name for name in _MOVED_WINDOWS if not hasattr(signal, name)]
    for name in missing:
        setattr(signal, name, getattr(windows, name))
    try:
        yield
    finally:
        for name in missing:
            delattr(signal, name)
