"""Weights to start from: those of another run, or of a model folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from autoclip_sep.errors import InputError
from autoclip_sep.names import some
from autoclip_sep.optional import require
from autoclip_sep.runs import checkpoint
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.saved_state import is_mapping, require_mapping, validated, validated_weights

Weights = Mapping[str, Any]


def load(model: nn.Module, source: Path, *, strict: bool = True) -> tuple[dict[str, str], str]:
    """Give a network the weights of a run, a checkpoint or a model folder.

    source: a run directory, whose best checkpoint is taken; a file in its checkpoints/; or a folder
    with model.safetensors. strict: whether every tensor must be there and fit; otherwise those that
    fit are loaded.

    Returns which file that was, with its sha256, and a line about it. Raises InputError for a
    source that is none of these, is damaged or isn't finite, and for weights that don't fit.
    """
    path, sha256, saved = _read(source)
    own: dict[str, Any] = model.state_dict()
    try:
        require_mapping(saved, "model")
        saved = {key: _of_kind(value, own.get(key)) for key, value in saved.items()}
        misfits = _misfits(saved, own)
        if strict and misfits:
            raise ValueError(f"{misfits}; init_strict=false loads what fits")
        fitting = {key: saved[key] for key in own if _fits(saved.get(key), own[key])}
        if not fitting:
            raise ValueError(f"no tensor fits: {misfits}")
        loaded = (
            validated_weights(saved, model) if strict
            else {**own, **{k: validated(v, own[k], f"model.{k}") for k, v in fitting.items()}}
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"init_from={source}: {error}") from error
    model.load_state_dict(loaded)
    line = f"initial weights: {len(fitting)} of {len(own)} tensors of {path} ({sha256[:12]})"
    return {"init_from": str(path), "sha256": sha256}, line + (f"; {misfits}" if misfits else "")


def _read(source: Path) -> tuple[Path, str, Any]:
    """The file of the weights, its sha256, and the weights, not validated yet."""
    if source.suffix == ".pt" and source.is_file():
        saved = _model(checkpoint.load(source))
        return source, checkpoint.digest(source), saved
    if (source / "config.yaml").is_file():
        folder = CheckpointFolder(source / "checkpoints")
        best = folder.read("best")
        if best is None:
            raise InputError(
                f"init_from={source}: it has no best checkpoint yet; train it for an epoch, or name"
                " one of its checkpoints"
            )
        used, state = best
        return used, checkpoint.digest(used), _model(state)
    found = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    if len(found) != 1:
        holds = f"{len(found)} files of safetensors" if found else "neither"
        what = holds if source.exists() else "not there"
        raise InputError(
            f"init_from={source} ({what}): must be a run directory with config.yaml, a checkpoint"
            " in one, or a folder with model.safetensors"
        )
    return found[0], *_safetensors(found[0])


def _model(state: Any) -> Any:
    return state.get("model") if is_mapping(state) else None


def _safetensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    library = require("safetensors.torch", f"init_from={path.parent}")
    try:
        content = path.read_bytes()
        weights: dict[str, Tensor] = library.load(content)
    except Exception as error:  # of the package's own types: the file is to blame
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"cannot read {path}: {reason}") from error
    return hashlib.sha256(content).hexdigest(), weights


def _of_kind(value: Any, like: Any) -> Any:
    """Weights of another precision, such as float16, in the network's own."""
    tensors = isinstance(value, Tensor) and isinstance(like, Tensor)
    return value.to(like.dtype) if tensors and _floats(value, like) else value


def _floats(one: Tensor, other: Tensor) -> bool:
    return one.is_floating_point() and other.is_floating_point()


def _fits(value: Any, own: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == own.shape and value.dtype == own.dtype


def _misfits(saved: Weights, own: Weights) -> str:
    """What doesn't fit, in a line; empty where everything does."""
    other = [
        f"{key} {tuple(saved[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if isinstance(saved.get(key), Tensor) and not _fits(saved[key], own[key])
    ]
    parts = {
        "missing": [key for key in own if not isinstance(saved.get(key), Tensor)],
        "not used": [str(key) for key in saved if key not in own],
        "of another shape": other,
    }
    return "; ".join(f"{what}: {some(keys, 5)}" for what, keys in parts.items() if keys)
