"""Models from and to nussl's checkpoints."""

import importlib
from pathlib import Path

import torch

from autoclip_sep.files import write_whole
from autoclip_sep.interop import nussl_checkpoint
from autoclip_sep.pretrained.mask_network import separator_of
from autoclip_sep.pretrained.model import Model, separation_of
from autoclip_sep.runs.config import Config

FILE = "model.pth"
SOURCES = 2  # of deep clustering, whose checkpoints don't say


def load(path: Path, device: torch.device) -> Model:
    """A checkpoint of nussl's builders; raises InputError as `nussl_checkpoint.load` does."""
    network, found = nussl_checkpoint.load(path)
    stft = {
        "_target_": "autoclip_sep.stft.STFT", "window_length": found.stft.window_length,
        "hop_length": found.stft.hop_length,
    }  # fmt: skip
    sources = found.network.sources or SOURCES
    config = Config({
        "data": {
            "name": path.stem, "sample_rate": found.sample_rate, "sources": sources,
            "channels": 1, "permute": True,
        },
        "loss": {"heads": found.settings["heads"]},
        "model": {
            "_target_": "autoclip_sep.models.separator.Separator", "stft": stft, **found.settings,
        },
        "stft": stft,
        "training": {"source": "a checkpoint of nussl"},
    }, str(path))  # fmt: skip
    separation = separation_of(config, network, network.stft, device)
    return Model(str(path), config, separation)


def save(model: Model, folder: Path) -> Path:
    """Write model.pth; InputError where nussl is missing, or the network isn't a Separator."""
    export = importlib.import_module("autoclip_sep.interop.nussl_export")  # which imports nussl
    name = str(model.config["data"]["name"])
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, export.checkpoint(separator_of(model), model.sample_rate, name))
    return folder / FILE
