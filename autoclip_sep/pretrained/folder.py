"""Model folders: model.safetensors, config.json and a model card; nothing in them can run code."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from autoclip_sep import __version__
from autoclip_sep.building.build import NotBuilt, build
from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import shown, some
from autoclip_sep.optional import require
from autoclip_sep.pretrained import card
from autoclip_sep.pretrained.model import Model, separation_of
from autoclip_sep.pretrained.run import Trained
from autoclip_sep.runs.config import MOST_BYTES, Config, checked
from autoclip_sep.runs.older_configs import upgraded
from autoclip_sep.runs.run_directory import flatten, write_json, write_text
from autoclip_sep.runs.saved_state import validated_weights
from autoclip_sep.text import read_text

FORMAT = 1  # of config.json; a reader refuses later ones
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FILES = (CONFIG, WEIGHTS, CARD)
SAMPLES = 512  # of silence, with which a network is tried
MOST = 64  # sources or channels
MOST_WEIGHTS = 20_000  # tensors of a network
LARGEST = 10**6  # number in its config: of layers, units, ...

# Of the run's config: what separation needs, and nothing that names a place on this machine.
KEPT = {
    "data": ("name", "sample_rate", "sources", "source_names", "channels", "permute"),
    "loss": ("name", "heads", "scale_invariant"),
}


def save_pretrained(model: Model, folder: str | Path) -> Path:
    """Write a model into a folder, from which `from_pretrained` reads it. Returns the folder.

    Raises InputError where safetensors is missing, OSError where the folder can't be written.
    """
    safetensors = require("safetensors.torch", "saving a model")
    place, content = Path(folder), describe(model)
    try:
        about = card.text(content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        what = f"training or scores in its {CONFIG} are malformed"
        raise InputError(f"{model.name}: {what} ({type(error).__name__} {error})") from error
    state = model.separation.model.state_dict()
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    place.mkdir(parents=True, exist_ok=True)
    write_whole(place / WEIGHTS, safetensors.save(weights, metadata={"format": "pt"}))
    write_text(place / CARD, about)
    write_json(place / CONFIG, content)  # last: a folder with it is whole
    return place


def describe(model: Model) -> dict[str, Any]:
    """The content of config.json."""
    config = model.config
    kept = {
        group: {key: config[group][key] for key in keys if key in config[group]}
        for group, keys in KEPT.items()
    }
    kept |= {"model": config["model"], "stft": config["stft"]}
    if isinstance(model, Trained):
        # Here: it needs pandas and scipy.stats, and who only reads a model needn't wait for them.
        from autoclip_sep.pretrained import facts

        about = {"training": facts.training(model), "scores": facts.scores(model)}
    else:
        about = {key: config[key] for key in ("training", "scores") if key in config}
    return {"format_version": FORMAT, "autoclip_sep": __version__, **kept, **about}


def read(folder: Path, device: torch.device, name: str = "") -> Model:
    """The model of a folder. name: what it is called, by default the folder's path.

    Raises InputError where a file is missing, damaged or too large, where config.json names code
    that isn't trusted, and where the weights don't fit the network, naming the tensors.
    """
    config = _read_config(folder / CONFIG)
    try:
        with torch.device("meta"), _few_weights():  # shapes alone: a config may ask for any size
            shapes = _shapes(build(config["model"], "model"))
        saved = _read_weights(folder / WEIGHTS, shapes)
        network = build(config["model"], "model")
        stft = build(config["stft"], "stft")
        network.load_state_dict(validated_weights(saved, network))
        model = Model(name or str(folder), config, separation_of(config, network, stft, device))
        _try(model)
    except NotBuilt as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    except InputError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{folder / WEIGHTS} doesn't fit {CONFIG}: {reason}") from error
    return model


@contextmanager
def _few_weights() -> Iterator[None]:
    """Refuse a network of endless layers, which takes hours to build even of shapes alone."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1
        if count > MOST_WEIGHTS:
            raise InputError(f"{CONFIG}: its network has more than {MOST_WEIGHTS:,} weights")

    handle = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()


def _try(model: Model) -> None:
    """Refuse a network that doesn't give the sources and channels that its config says."""
    data = model.config["data"]
    for key in ("sources", "channels"):
        if data[key] > MOST:
            raise InputError(f"{model.name}: data.{key}={data[key]}: at most {MOST}")
    separated = model.separate(torch.zeros(data["channels"], SAMPLES))
    if separated.shape != (data["sources"], data["channels"], SAMPLES):
        raise InputError(
            f"{model.name}: its network gives {len(separated)} sources, {CONFIG} says "
            f"data.sources={data['sources']}"
        )


def _read_config(path: Path) -> Config:
    if not path.is_file():
        inside = sorted(entry.name for entry in path.parent.iterdir())
        raise InputError(
            f"{path.parent} is no model folder (it holds {some(inside, 5) or 'nothing'}): it must "
            f"have {' and '.join(FILES[:2])}, as autoclip-sep export writes them"
        )
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is too large for a config: more than {MOST_BYTES:,} bytes")
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path}: {shown(str(error))}") from error
    if not isinstance(content, dict) or type(content.get("format_version")) is not int:
        raise InputError(
            f"{path} isn't the config of a model of autoclip_sep: it has no format_version"
        )
    if content["format_version"] > FORMAT:
        raise InputError(
            f"{path} has format_version {content['format_version']}, this version reads {FORMAT}: "
            "pip install --upgrade autoclip_sep"
        )
    config = checked(upgraded(content), str(path))
    for key, value in flatten(config["model"]).items():
        if isinstance(value, int) and abs(value) > LARGEST:
            raise InputError(f"{path}: model.{key}={value}: at most {LARGEST:,}")
    return config


def _shapes(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


def _read_weights(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """The tensors of a file whose header has exactly these shapes."""
    with _opened(path) as file:
        found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        missing, unknown = sorted(shapes.keys() - found), sorted(found.keys() - shapes)
        others = [
            f"{key} {tuple(found[key])} instead of {tuple(shapes[key])}"
            for key in sorted(shapes.keys() & found.keys())
            if list(found[key]) != list(shapes[key])
        ]
        for what, keys in (("lacks", missing), ("has unknown", unknown), ("has", others)):
            if keys:
                raise InputError(f"{path} doesn't fit {CONFIG}: it {what} {some(keys)}")
        return {key: file.get_tensor(key) for key in found}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, open; what is wrong with it in one line."""
    safetensors = require("safetensors", "reading a model")
    if not path.is_file():
        raise InputError(f"{path} is missing: the folder isn't whole, get it again")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        reason = shown(str(error).partition("\n")[0])
        raise InputError(f"{path} is damaged, or no safetensors: {reason}") from error
