"""Frozen parts of a network: parameters that training leaves as they are, chosen by pattern."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.names import some


def freeze(model: nn.Module, patterns: str | Sequence[str]) -> list[str]:
    """The names of the parameters that the patterns freeze.

    patterns: of `fnmatch`, for a parameter's name or that of a module that it is in: `norm` is
    `norm.weight` and `norm.bias`. A frozen parameter gets no gradient, so neither an optimizer nor
    its weight decay changes it, and no clipper counts it. A normalisation all of whose parameters
    are frozen works with its running statistics, as in evaluation, and leaves them as they are.

    Raises InputError for a pattern that matches nothing, and where nothing is left to train.
    """
    patterns = [patterns] if isinstance(patterns, str) else patterns
    names = [name for name, _ in model.named_parameters()]
    frozen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if any(fnmatchcase(n, pattern) for n in _above(name))}
        if not found:
            known = list(dict.fromkeys(above for name in names for above in _above(name)))
            nearest = difflib.get_close_matches(pattern, known, n=3, cutoff=0.3) or known
            raise InputError(f"freeze={pattern}: no parameter matches; there are {some(nearest)}")
        frozen |= found
    if frozen == set(names):
        raise InputError(f"freeze={','.join(patterns)}: nothing is left to train")
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    for path, module in model.named_modules():
        own = [f"{path}.{name}" if path else name for name, _ in module.named_parameters()]
        if own and frozen.issuperset(own) and hasattr(module, "running_mean"):
            module.register_forward_pre_hook(_evaluate)  # after any model.train()
    return [name for name in names if name in frozen]


def _above(name: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` for the last."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _evaluate(module: nn.Module, _: Any) -> None:
    module.eval()
