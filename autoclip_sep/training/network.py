"""How a network is run: in half precision, compiled, or with its activations computed twice."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from autoclip_sep.errors import InputError
from autoclip_sep.training.half_precision import require_fp16
from autoclip_sep.training.settings import Settings


def prepare(model: nn.Module, settings: Settings, device: torch.device) -> None:
    """Make the network run as the settings say, in place; parameters and their names stay.

    Raises InputError where that isn't possible with this network or on this machine.
    """
    if settings.precision == "fp16":
        require_fp16(model, device)
    if settings.gradient_checkpointing:
        recompute_layers(model)
    if settings.compile:
        compile_network(model, device)


def recompute_layers(model: nn.Module) -> None:
    """Keep no activations inside the network's layers: the backward pass computes them again.

    Layers: the members of the outermost module lists and sequences. Those with BatchNorm are left
    as they are, since a second forward pass would move its statistics once more.

    Raises InputError where there are none.
    """
    layers = [layer for layer in _members(model) if any(True for _ in layer.parameters())]
    layers = [layer for layer in layers if not _has_running_statistics(layer)]
    if not layers:
        raise InputError(
            "trainer.gradient_checkpointing=true: this network has no layers in an nn.ModuleList "
            "or nn.Sequential that can be computed again; leave it out"
        )
    for layer in layers:
        layer.forward = partial(_recomputed, layer.forward)


def _members(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.ModuleList | nn.Sequential):
        yield from module.children()
        return
    for child in module.children():
        yield from _members(child)


def _has_running_statistics(module: nn.Module) -> bool:
    return any(getattr(one, "running_mean", None) is not None for one in module.modules())


def _recomputed(forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*given, **named)
    return checkpoint(forward, *given, use_reentrant=False, **named)


def compile_network(model: nn.Module, device: torch.device) -> None:
    """Compile the network when it is first called; dropout draws what it does without.

    Raises InputError where torch.compile lacks what it needs on this machine.
    """
    if missing := _missing(device):
        raise InputError(
            f"trainer.compile=true: torch.compile needs {missing}, which isn't here; install it, "
            "or leave compile out"
        )
    model.compile(options={"fallback_random": True})


def _missing(device: torch.device) -> str | None:
    """What torch.compile, with its usual backend, would end with a long traceback without."""
    if device.type == "cuda":
        if find_spec("triton") is None:
            return "the package triton"
        compilers = [os.environ.get("CC"), "gcc", "clang"]
    else:
        compilers = [os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")]
    if not any(shutil.which(one) for one in compilers if one):
        return f"a compiler ({compilers[-1]})"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return None if header.exists() else f"Python's headers ({header})"
