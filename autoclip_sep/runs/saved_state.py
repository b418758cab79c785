"""Saved states are validated against the state that the same objects would save now.

torch checks little of what it loads. Moments of another shape, or an expanded view of a single
number, are written to by fused optimizers as if they had their parameter's size.
"""

import math
from collections.abc import Container, Mapping, Set
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

# Counts, squares, variances, norms and scales of torch's optimizers, BatchNorm and GradScaler, the
# clippers and Spikes.
NEVER_NEGATIVE = frozenset(
    "lr _last_lr step exp_avg_sq max_exp_avg_sq square_avg sum acc_delta exp_inf step_size"
    " mu_product eta mu row_var col_var variance running_var num_batches_tracked"
    " history first norms lengths scale".split()
)


def validated(
    value: Any,
    like: Any,
    where: str,
    *,
    name: str = "",
    free: bool = False,
    moving: Container[str] | None = None,
) -> Any:
    """A copy of a saved value that has the form of `like`; its tensors have memory of their own.

    The form: types, keys of mappings, lengths of sequences, texts, and the dtypes, shapes and
    strides of tensors. Numbers are finite, and not negative where they are integers or named in
    `NEVER_NEGATIVE`; one that is infinite in `like` may be infinite again.

    where: the value's place, for messages. name: its own key. free: tensors may be longer or
    shorter than in `like`, and contain NaN. moving: the names of the numbers that may differ from
    those in `like`; None for all.

    Raises ValueError, naming the place, for anything else.
    """
    how: dict[str, Any] = {"free": free, "moving": moving}
    if isinstance(like, dict):
        require_keys(value, like, where)
        return {k: validated(value[k], like[k], f"{where}.{k}", name=str(k), **how) for k in like}
    if isinstance(like, list | tuple):
        right = type(value) is type(like) and len(value) == len(like)
        _require(right, where, f"is not a {type(like).__name__} of {len(like)}")
        pairs = zip(value, like, strict=True)
        return type(like)([validated(one, other, where, name=name, **how) for one, other in pairs])
    if isinstance(like, Tensor):
        return _tensor(value, like, where, name, free)
    fixed = True
    if isinstance(like, int | float) and not isinstance(like, bool):
        _check_number(value, like, where, name)
        fixed = moving is not None and name not in moving
    _require(not fixed or (type(value) is type(like) and value == like), where, f"is not {like!r}")
    return value


def validated_weights(saved: Any, model: nn.Module) -> dict[str, Any]:
    """A network's saved weights, for `load_state_dict`; raises ValueError as `validated` does."""
    weights: dict[str, Any] = model.state_dict()
    weights.update(validated(saved, dict(weights), "model"))
    return weights


def is_mapping(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether a loaded value is a dict with its own methods.

    A pickle keeps the attributes of an OrderedDict: `_metadata` of networks, but also others that
    replace its methods.
    """
    return isinstance(value, dict) and not getattr(value, "__dict__", {}).keys() - {"_metadata"}


def require_keys(
    value: Any, wanted: Mapping[Any, Any], where: str, optional: Set[Any] = frozenset()
) -> None:
    """Raises ValueError unless the value is a mapping with these keys, optional ones aside."""
    require_mapping(value, where)
    odd = (value.keys() ^ wanted.keys()) - (optional & wanted.keys())
    listed = ", ".join(sorted(str(key)[:60] for key in odd)[:5])
    _require(not odd, where, f"has missing or unknown entries: {listed}")


def require_mapping(value: Any, where: str) -> None:
    """Raises ValueError unless the value is a mapping."""
    _require(is_mapping(value), where, "is not a mapping")


def not_finite(state: Any, where: str) -> str | None:
    """The place of the first tensor in nested mappings that holds a NaN or an infinity."""
    if isinstance(state, dict):
        places = (not_finite(inner, f"{where}.{key}") for key, inner in state.items())
        return next((place for place in places if place), None)
    return where if isinstance(state, Tensor) and not bool(state.isfinite().all()) else None


def _tensor(value: Any, like: Tensor, where: str, name: str, free: bool) -> Tensor:
    # A sparse tensor or one of a subclass may have no strides, and no memory of its own.
    plain = type(value) is Tensor and value.layout == torch.strided
    _require(plain, where, "is not a plain tensor")
    _require(value.dtype == like.dtype, where, f"is {value.dtype}, not {like.dtype}")
    if free:
        right = value.ndim == like.ndim and value.is_contiguous()
    else:
        right = value.shape == like.shape and _strides(value) == _strides(like)
    _require(right, where, f"has shape {_form(value)}, not {_form(like)}")
    bad = value.isinf() if free else ~value.isfinite()
    _require(not bool(bad.any()) or not_finite(like, where), where, "is not finite")
    _require(name not in NEVER_NEGATIVE or not bool((value < 0).any()), where, "is negative")
    return value.detach().clone()


def _check_number(value: Any, like: float, where: str, name: str) -> None:
    kinds = (int,) if isinstance(like, int) else (int, float)
    kind = type(value)
    _require(kind in kinds, where, f"is a {kind.__name__}, not a {kinds[-1].__name__}")
    _require(abs(value) < 2**63 or value == like or kind is float, where, "is too large")
    _require(math.isfinite(value) or value == like, where, "is not finite")
    signed = not isinstance(like, int) and name not in NEVER_NEGATIVE
    _require(value >= 0 or signed or value == like, where, "is negative")


def _strides(tensor: Tensor) -> list[int]:
    """The strides that matter: an axis of length 1 may have any."""
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def _form(tensor: Tensor) -> str:
    strides = "" if tensor.is_contiguous() else f" with strides {tensor.stride()}"
    return f"{tuple(tensor.shape)}{strides}"


def _require(right: object, where: str, what: str) -> None:
    if not right:
        raise ValueError(f"{where} {what}")
