"""Checkpoints of nussl as networks of ours, read without nussl and without running code.

What nussl's own builders make is understood: build_recurrent_mask_inference, build_recurrent_dpcl
and build_recurrent_chimera. nussl itself unpickles such files, which may run anything.
"""

import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.errors import InputError
from autoclip_sep.interop import nussl_weights
from autoclip_sep.interop.nussl_config import MOST, Network, STFTSettings, read_network, read_stft
from autoclip_sep.models.separator import Separator
from autoclip_sep.names import shown, some
from autoclip_sep.runs.checkpoint import PLAIN, globals_of
from autoclip_sep.runs.saved_state import is_mapping, validated_weights
from autoclip_sep.stft import STFT

# Names that a checkpoint may hold beside tensors: none is looked up, `Inert` stands for each.
KNOWN = re.compile(
    r"nussl(\.\w+)* \w+|numpy\.(_?core\.multiarray (scalar|_reconstruct)|(dtype|ndarray))"
    r"|numpy (dtype|ndarray)|_codecs encode"
)


class Inert:
    """Stands for an object of nussl: keeps what it was made of, and does nothing."""

    def __new__(cls, *parts: Any) -> "Inert":
        made = super().__new__(cls)
        made.parts, made.state = parts, {}
        return made

    parts: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state


@dataclass(frozen=True)
class Checkpoint:
    """A network of nussl, in our terms. sample_rate: in Hz."""

    network: Network
    stft: STFTSettings
    sample_rate: int
    weights: Mapping[str, Tensor]

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `Separator`, its STFT aside."""
        net = self.network
        heads = [*(["masks"] if net.sources else []), *(["embedding"] if net.embedding else [])]
        sizes: dict[str, Any] = {"sources": net.sources} if net.sources else {}
        sizes |= {"embedding_size": net.embedding} if net.embedding else {}
        return {
            "heads": heads, "hidden": net.hidden, "layers": net.layers, "dropout": net.dropout,
            "batch_norm": net.norm is not None, "magnitude_floor": net.floor, **sizes,
        }  # fmt: skip


def load(path: str | Path) -> tuple[Separator, Checkpoint]:
    """The network, with its weights, in evaluation mode.

    Its masks and embeddings are nussl's to 1e-4. Training it further differs where nussl's
    normalisation has one feature: here each bin has its own.

    Raises InputError where the file is no checkpoint of nussl, has anything else in it, or where
    the network can't be mapped, naming what.
    """
    found = read(path)
    stft = STFT(found.stft.window_length, found.stft.hop_length)
    try:
        with torch.device("meta"):
            like = {k: v.shape for k, v in Separator(stft, **found.settings).state_dict().items()}
        wrong = [key for key in like if found.weights[key].shape != like[key]]
        if wrong:
            raise ValueError(f"{some(wrong)}: of another shape than its config says")
        network = Separator(stft, **found.settings)
        network.load_state_dict(validated_weights(dict(found.weights), network))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {str(error).partition(chr(10))[0]}") from error
    return network.eval(), found


def read(path: str | Path) -> Checkpoint:
    """A checkpoint of nussl, its weights as those of ours; raises InputError as `load` does."""
    held = _load(Path(path))
    try:
        return _understood(held)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = shown(str(error).partition("\n")[0][:200])
        raise InputError(f"{path}: can't be mapped: {type(error).__name__} {reason}") from error


def _load(path: Path) -> dict[str, Any]:
    """What the file holds, with an `Inert` for each object that is neither tensor nor plain."""
    try:
        content = path.read_bytes()
        names = {name for name in globals_of(content) if not PLAIN.fullmatch(name)}
        foreign = sorted(name for name in names if not KNOWN.fullmatch(name))
        if foreign:
            raise ValueError(f"it contains {some([one.replace(' ', '.') for one in foreign])}")
        classes: list[Any] = [
            (type(name, (Inert,), {}), name.replace(" ", ".")) for name in sorted(names)
        ]
        with torch.serialization.safe_globals(classes):
            held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not is_mapping(held) or not {"state_dict", "metadata"} <= held.keys():
            raise ValueError("it has no state_dict and metadata")
    except Exception as error:  # torch and zipfile raise many types here, all with this meaning
        reason = shown(str(error).strip().partition("\n")[0][:300])
        raise InputError(f"{path} is no checkpoint of nussl that can be read: {reason}") from error
    return dict(held)


def _understood(held: Mapping[str, Any]) -> Checkpoint:
    metadata, weights = held["metadata"], held["state_dict"]
    if not is_mapping(metadata) or not is_mapping(weights):
        raise InputError("its metadata or state_dict is no mapping")
    if not all(type(value) is Tensor for value in weights.values()):
        raise InputError("its state_dict holds more than tensors")
    config = json.loads(held["config"]) if "config" in held else metadata["config"]
    network = read_network(config, weights)
    dataset = metadata.get("train_dataset")
    places = [metadata, *([dataset] if is_mapping(dataset) else [])]
    rate = next((p["sample_rate"] for p in places if type(p.get("sample_rate")) is int), None)
    params = next(
        (p["stft_params"] for p in places if isinstance(p.get("stft_params"), Inert)), None
    )
    if rate is None or params is None:
        raise InputError("its metadata has no sample_rate or no stft_params")
    if not 0 < rate <= MOST:
        raise InputError(f"its sample_rate is {rate}: must be from 1 to {MOST:,} Hz")
    _check_transforms([p[key] for p in places for key in p if "transforms" in str(key)])
    stft = read_stft(params.parts, rate, network.bins)
    mapped = nussl_weights.from_nussl(
        weights, bins=network.bins, layers=network.layers, sources=network.sources,
        embedding=bool(network.embedding), norm=network.norm, epsilon=network.epsilon,
    )  # fmt: skip
    if not math.isfinite(network.epsilon):
        raise InputError("the eps of its normalisation is not finite")
    return Checkpoint(network, stft, rate, mapped)


# Those that make the magnitudes which the network sees, or leave them alone.
TRANSFORMS = (
    "Compose MagnitudeSpectrumApproximation PhaseSensitiveSpectrumApproximation ToSeparationModel"
    " MagnitudeWeights SumSources Cache IndexSources GetExcerpt GetAudio"
).split()


def _check_transforms(found: list[Any]) -> None:
    """Refuse what may change the magnitudes before the network sees them."""
    for one in found:
        inner = one.state.get("transforms", []) if _is_compose(one) else [one]
        for part in inner if isinstance(inner, list) else [inner]:
            name = type(part).__name__.rpartition(" ")[2]
            if isinstance(part, Inert) and name not in TRANSFORMS:
                raise InputError(f"its transform {name} isn't known: it may change the magnitudes")


def _is_compose(one: Any) -> bool:
    named = isinstance(one, Inert) and type(one).__name__.endswith(" Compose")
    return named and is_mapping(one.state)
