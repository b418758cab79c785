"""The config in a checkpoint of nussl, if it describes what `Separator` is, too."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor

from autoclip_sep.errors import InputError

CLASSES = {
    "log_spectrogram": ("AmplitudeToDB",), "normalization": ("BatchNorm", "InstanceNorm"),
    "recurrent_stack": ("RecurrentStack",), "embedding": ("Embedding",), "mask": ("Embedding",),
    "estimates": ("Mask",),
}  # fmt: skip
ACTIVATIONS = {"mask": {"sigmoid"}, "embedding": {"sigmoid", "unit_norm"}}
MOST = 10**6  # samples of a window, or in a second
FLOOR = 1e-4  # of nussl's AmplitudeToDB
INSIDE = {"BatchNorm": "batch_norm", "InstanceNorm": "instance_norm"}


@dataclass(frozen=True)
class Network:
    """Sizes of a network of nussl.

    sources, embedding: None without that layer. norm: its normalisation in the state dict, None
    without; epsilon: of it. floor: of the magnitudes.
    """

    bins: int
    hidden: int
    layers: int
    dropout: float
    sources: int | None
    embedding: int | None
    norm: str | None
    epsilon: float
    floor: float


@dataclass(frozen=True)
class STFTSettings:
    """In samples."""

    window_length: int
    hop_length: int


def read_network(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Network:
    """The sizes; raises InputError naming what `Separator` has nothing for."""
    modules: Mapping[str, Any] = config["modules"]
    (mix, *others) = [name for name, module in modules.items() if "class" not in module] or [""]
    if not mix or others:
        _refuse("its inputs", [mix, *others])
    parts = {name: module for name, module in modules.items() if "class" in module}
    for name, module in parts.items():
        if module["class"] not in CLASSES.get(name, ()):
            _refuse(f"its module {name}", module["class"])
    floor = _check_connections(config["connections"], mix, parts)
    stack = {"rnn_type": "lstm", "batch_first": True, **parts["recurrent_stack"]["args"]}
    for key, wanted in (("rnn_type", "lstm"), ("batch_first", True), ("bidirectional", True)):
        if stack[key] != wanted:
            _refuse(f"recurrent_stack.{key}", stack[key])
    bins, layers = stack["num_features"], stack["num_layers"]
    rnn = re.compile(r"layers\.recurrent_stack\.rnn\.weight_ih_l\d+")
    if sum(bool(rnn.fullmatch(key)) for key in weights) != layers:
        _refuse("recurrent_stack.num_layers", layers)
    if list(weights["layers.recurrent_stack.rnn.weight_ih_l0"].shape)[1:] != [bins]:
        _refuse("recurrent_stack.num_features", bins)
    sizes = {name: _head(name, parts[name]["args"], bins) for name in ACTIVATIONS if name in parts}
    if not sizes:
        _refuse("its outputs", "neither mask nor embedding")
    norm, epsilon = _norm(parts.get("normalization"), bins, weights)
    _check_known(weights, {name for name in parts if name != "estimates"})
    return Network(
        bins, stack["hidden_size"], layers, float(stack["dropout"]), sizes.get("mask"),
        sizes.get("embedding"), norm, epsilon, floor,
    )  # fmt: skip


def read_stft(params: tuple[Any, ...], sample_rate: int, bins: int) -> STFTSettings:
    """The settings with nussl's defaults; raises InputError for a window that isn't sqrt_hann."""
    window_length, hop_length, window_type = (*params, None, None, None)[:3]
    if window_length is None:
        window_length = 2 ** math.ceil(math.log2(0.032 * sample_rate))
    hop_length = window_length // 4 if hop_length is None else hop_length
    if window_type not in (None, "sqrt_hann"):
        _refuse("the window of its STFT", window_type)
    for name, length in (("window", window_length), ("hop", hop_length)):
        if type(length) is not int or not 0 < length <= MOST:
            _refuse(f"the {name} of its STFT", length)
    if window_length // 2 + 1 != bins:
        _refuse("its window length", f"{window_length} for {bins} bins")
    return STFTSettings(window_length, hop_length)


def _check_connections(connections: Any, mix: str, parts: Mapping[str, Any]) -> float:
    """The floor of the magnitudes, if the modules are wired as nussl's builders do."""
    above = "normalization" if "normalization" in parts else "log_spectrogram"
    wanted = {
        "log_spectrogram": [mix], "normalization": ["log_spectrogram"],
        "recurrent_stack": [above], "embedding": ["recurrent_stack"], "mask": ["recurrent_stack"],
        "estimates": ["mask", mix],
    }  # fmt: skip
    floor, found = FLOOR, set()
    for name, inputs in connections:
        names = [one for one in inputs if not isinstance(one, dict)]
        settings = {
            key: value for one in inputs if isinstance(one, dict) for key, value in one.items()
        }
        if name == "log_spectrogram":
            floor = float(settings.pop("amin", floor))
        if settings or names != wanted.get(name) or name in found:
            _refuse(f"the connection of {name}", inputs)
        found.add(name)
    if found != parts.keys():
        _refuse("modules without connection", sorted(parts.keys() ^ found))
    return floor


def _head(name: str, args: Mapping[str, Any], bins: int) -> int:
    """The size of an Embedding layer, for each bin."""
    activation = args["activation"]
    given = {activation} if isinstance(activation, str) else set(activation)
    if given != ACTIVATIONS[name]:
        _refuse(f"{name}.activation", activation)
    usual = {
        "num_features": bins,
        "num_audio_channels": 1,
        "dim_to_embed": -1,
        "bias": True,
        "reshape": True,
    }
    for key, value in usual.items():
        if args.get(key, value) not in (value, [value]):
            _refuse(f"{name}.{key}", args[key])
    return int(args["embedding_size"])


def _norm(
    module: Mapping[str, Any] | None, bins: int, weights: Mapping[str, Tensor]
) -> tuple[str | None, float]:
    """Its place in the state dict, and its epsilon; its statistics must be fixed."""
    if module is None:
        return None, 0.0
    args = module.get("args") or {}
    place = f"layers.normalization.{INSIDE[module['class']]}"
    if args.get("num_features", 1) not in (1, bins) or args.get("feature_dim", 2) != 2:
        _refuse("its normalization", args)
    if f"{place}.running_mean" not in weights:
        _refuse("its normalization", f"{module['class']} of each mixture by itself")
    return place, float(args.get("eps", 1e-5))


def _check_known(weights: Mapping[str, Any], parts: set[str]) -> None:
    """No weights of anything else."""
    for key in weights:
        if str(key).split(".")[:1] != ["layers"] or str(key).split(".")[1] not in parts:
            _refuse("the weights", key)


def _refuse(what: str, value: Any) -> NoReturn:
    raise InputError(f"{what} can't be mapped onto this package's Separator: {str(value)[:80]}")
