"""Config to objects. A config from a stranger can name nothing but what the files in configs/ name.

Of this package, too, since it has functions that write files and start programs.
"""

import importlib
import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from autoclip_sep.cli.compose import CONFIGS
from autoclip_sep.errors import InputError

PACKAGE = "autoclip_sep."


def build(node: Any, where: str = "config") -> Any:
    """The object that a node with a ``_target_`` describes, its children built first.

    where: the node's dotted key, for messages.

    Raises InputError for a target that `find` refuses and for arguments that a class refuses.
    """
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
    if node.get("_partial_", False):
        return partial(target, **arguments)
    return call(target, where, **arguments)


def call(target: Any, where: str, *positional: Any, **arguments: Any) -> Any:
    """Call a constructor; what it refuses is named with its place in the config."""
    try:
        return target(*positional, **arguments)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {str(error).splitlines()[0]}") from error


def find(target: Any, where: str) -> Any:
    """The class or function of a dotted name that a file in configs/ names.

    It must be defined in this package itself: an imported one doesn't count.
    """
    refused = InputError(
        f"{where}._target_ is {target!r}: only classes and functions of {PACKAGE}* that a file in "
        "configs/ names are built"
    )
    if not isinstance(target, str) or target not in _named_in_configs():
        raise refused
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError):
        raise refused from None
    defined_in = getattr(found, "__module__", None)
    if not callable(found) or not str(defined_in).startswith(PACKAGE):
        raise refused
    return found


@cache
def _named_in_configs() -> set[str]:
    """The targets in the files of configs/ that are of this package."""
    texts = (path.read_text(encoding="utf-8") for path in CONFIGS.rglob("*.yaml"))
    named = re.compile(rf"_target_:\s*({re.escape(PACKAGE)}[\w.]+)")
    return {target for text in texts for target in named.findall(text)}
