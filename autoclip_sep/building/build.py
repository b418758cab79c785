"""Config to objects. A config from a stranger can name no code but what is listed here.

Of this package that is what the files in configs/ name, since it has functions that write files and
start programs; of torch, optimizers, schedules and modules, each in its place. Whatever the files
of a --config-dir name is the user's own code, and what they trust by name.
"""

import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from autoclip_sep.building import config_files
from autoclip_sep.clipping import Clipper
from autoclip_sep.data.corpora.base import Corpus
from autoclip_sep.data.loading.segments import Augmentation
from autoclip_sep.errors import InputError
from autoclip_sep.runs.annotations import as_yaml, check
from autoclip_sep.stft import STFT
from autoclip_sep.training.loggers.base import Logger
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings

PACKAGE = "autoclip_sep."

# What must stand at these keys of a config, or come of what stands there.
KINDS: dict[str, tuple[type, ...]] = {
    "model": (nn.Module,), "stft": (STFT,), "clipping": (Clipper,), "trainer": (Settings,),
    "logger": (Logger,), "optimizer": (partial, Optimizer), "scheduler": (partial, Schedule),
    "loss.objective": (Callable,), "data.corpus": (Corpus,),  # type: ignore[dict-item]
    "data.augmentation": (Augmentation, type(None)),
}  # fmt: skip

# The classes of torch that may stand at a key of a config or below it: where torch lists them.
OF_TORCH: dict[str, tuple[str, type]] = {
    "optimizer": ("torch.optim", Optimizer),
    "scheduler": ("torch.optim.lr_scheduler", LRScheduler),
    "model": ("torch.nn", nn.Module),
    "loss": ("torch.nn", nn.Module),
}

TRUSTED: set[str] = set()  # packages and modules whose code may be built, for the whole process

UNKNOWN = (ImportError, AttributeError, ValueError)  # of a name that stands for nothing

# What a constructor raises where its arguments make no sense, or more than memory holds.
REFUSALS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


def build(node: Any, where: str = "config") -> Any:
    """The object that a node with a ``_target_`` describes, its children built first.

    where: the node's dotted key, for messages.

    Raises InputError for a target that `find` refuses, for arguments that aren't what the target's
    annotations say or that it refuses, and for what can't stand at such a key.
    """
    return _check_kind(_built(node, where), where)


def _built(node: Any, where: str) -> Any:
    if isinstance(node, list):
        return [build(value, f"{where}[{index}]") for index, value in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    arguments = {
        str(key): build(value, f"{where}.{key}")
        for key, value in node.items()
        if key not in ("_target_", "_partial_")
    }
    if "_target_" not in node:
        return arguments
    target = find(node["_target_"], where)
    hints = _hints(target)
    for key in arguments.keys() & hints.keys():
        if not _unfinished(arguments[key]):
            check(arguments[key], hints[key], f"{where}.{key}")
        if get_origin(hints[key]) is tuple:  # YAML has lists only
            arguments[key] = tuple(arguments[key])
    if str(node["_target_"]).startswith("torch.optim."):
        _check_numbers(target, arguments, where)
    if node.get("_partial_", False) is True:
        return partial(target, **arguments)
    return call(target, where, **arguments)


def _hints(target: Any) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # names that are imported for type checkers only
        return {}


def _unfinished(value: Any) -> bool:
    """Whether a value is made later, or some of a list's are: schedules need the optimizer."""
    return any(isinstance(one, partial) for one in (value if isinstance(value, list) else [value]))


def _check_numbers(target: Any, arguments: Mapping[str, Any], where: str) -> None:
    """Refuse numbers of an optimizer or a schedule that torch accepts silently.

    Negative ones are right only where torch's own default is negative.
    """
    known = inspect.signature(target).parameters
    for key, value in arguments.items():
        default = known[key].default if key in known else None
        least = 0.0 if not isinstance(default, int | float) or default >= 0 else -math.inf
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not (math.isfinite(number) and number >= least):
                rule = "be finite and not negative" if least == 0 else "be finite"
                raise InputError(f"{where}.{key}={as_yaml(value)}: must {rule}")


def call(target: Any, where: str, *positional: Any, **arguments: Any) -> Any:
    """Call a constructor; what it refuses is named with its place in the config."""
    try:
        made = target(*positional, **arguments)
    except InputError:
        raise
    except REFUSALS as error:
        reason = " ".join(str(error).strip().partition("\n")[0].split())
        raise InputError(f"{where}: {reason or type(error).__name__}") from error
    return _check_kind(made, where)


def _check_kind(made: Any, where: str) -> Any:
    if not isinstance(made, KINDS.get(where, object)):
        raise InputError(f"{where}: what is described there can't be used as {where}")
    return made


class NotBuilt(InputError):
    """Code that a config names and that isn't trusted, or isn't there."""


def trust(names: str | Sequence[str]) -> None:
    """Let configs name the code of these packages or modules, from the working folder too."""
    TRUSTED.update([names] if isinstance(names, str) else names)


def find(target: Any, where: str) -> Any:
    """The class or function of a dotted name that a file in configs/ names, or a class of torch.

    It must be defined in this package, or in that part of torch, itself: an imported one doesn't
    count. Names that are trusted, or that a file of a --config-dir gives, may be anyone's.
    """
    if isinstance(target, str) and _is_trusted(target):
        return _imported(target, where)
    room, kind = OF_TORCH.get(re.split(r"[.\[]", where)[0], ("", object))
    refused = NotBuilt(
        f"{where}._target_ is {target!r}: only classes and functions of {PACKAGE}* that a file in "
        f"configs/ names are built{room and f', and classes of {room}'}; your own code needs "
        "--config-dir=FOLDER where you train, and trust=PACKAGE where its runs are read"
    )
    if room and isinstance(target, str) and re.fullmatch(rf"{re.escape(room)}\.\w+", target):
        found = getattr(importlib.import_module(room), target.rpartition(".")[2], None)
        of_torch = str(getattr(found, "__module__", None)).startswith(room)
        if of_torch and inspect.isclass(found) and issubclass(found, kind):
            return found
        raise refused
    if not isinstance(target, str) or target not in _named_in((config_files.CONFIGS,)):
        raise refused
    try:
        found = _attribute(target)
    except UNKNOWN:
        raise refused from None
    defined_in = getattr(found, "__module__", None)
    if not callable(found) or not str(defined_in).startswith(PACKAGE):
        raise refused
    return found


def _attribute(target: str) -> Any:
    """What a dotted name stands for, its module imported; one of `UNKNOWN` where there is none."""
    module_name, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module_name), name)


def _is_trusted(target: str) -> bool:
    parts = target.split(".")
    above = {".".join(parts[:end]) for end in range(1, len(parts))}
    return bool(above & TRUSTED) or target in _named_in(tuple(config_files.ADDED))


def foreign_packages(node: Any) -> set[str]:
    """The packages that a config names beside this one and torch: what trust= is for."""
    if isinstance(node, Mapping):
        found = {package for value in node.values() for package in foreign_packages(value)}
        target = str(node.get("_target_", ""))
        own = not target or target.startswith((PACKAGE, "torch."))
        return found if own else found | {target.partition(".")[0]}
    if isinstance(node, list):
        return {package for value in node for package in foreign_packages(value)}
    return set()


def _imported(target: str, where: str) -> Any:
    """What a trusted name stands for."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: nothing there takes the place of a package
    try:
        found = _attribute(target)
    except UNKNOWN as error:
        package = target.partition(".")[0]
        gone = isinstance(error, ModuleNotFoundError) and error.name == package
        here = ", in the working folder either" if gone else ""
        raise NotBuilt(f"{where}._target_ is {target!r}: {error}{here}") from error
    if not callable(found):
        raise InputError(f"{where}._target_ is {target!r}: that is no class or function")
    home = str(getattr(found, "__module__", ""))
    if home.partition(".")[0] != target.partition(".")[0]:  # what a trusted module imports is not
        raise InputError(
            f"{where}._target_ is {target!r}: that is defined in {home}, name it there"
        )
    return found


@cache
def _named_in(folders: tuple[Path, ...]) -> set[str]:
    """The targets in the files of these folders of configs."""
    named = re.compile(r"_target_:\s*[\"']?([\w.]+)")
    paths = config_files.files(folders=folders)
    return {target for path in paths for target in named.findall(config_files.text(path))}
