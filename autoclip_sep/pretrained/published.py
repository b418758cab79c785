"""Published weights, from torchaudio.pipelines.

Sources: Conv-TasNet trained on Libri2Mix (8 kHz, clean); Hybrid Demucs trained on MUSDB18-HQ, in
one case with 150 more songs. Each is downloaded once, into torch's hub folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.building.build import build
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.pretrained.model import CHUNK, OVERLAP, Model, separation_of
from autoclip_sep.runs.config import Config

PREFIX = "torchaudio:"
PAGE = "https://download.pytorch.org/torchaudio/"
STFT: Mapping[str, Any] = {"_target_": "autoclip_sep.stft.STFT"}  # these networks have their own


@dataclass(frozen=True)
class Published:
    """What a pipeline doesn't say of its network, in the words of our configs.

    chunk: in seconds. overlap: of a chunk.
    """

    data: Mapping[str, Any]
    model: Mapping[str, Any]
    scale_invariant: bool
    chunk: int
    overlap: float


SPEECH = Published(
    {"name": "libri2mix", "sources": 2, "channels": 1, "permute": True},
    {"_target_": "autoclip_sep.models.conv_tasnet.ConvTasNet", "sources": 2},
    scale_invariant=True,
    chunk=CHUNK,
    overlap=OVERLAP,
)
MUSIC = Published(
    {
        "name": "musdb18", "sources": 4, "channels": 2, "permute": False,
        "source_names": ["drums", "bass", "other", "vocals"],
    },
    {"_target_": "autoclip_sep.models.hdemucs.HDemucs", "sources": 4, "channels": 2},
    scale_invariant=False,
    chunk=10,
    overlap=0.1,  # as in torchaudio's tutorial of Hybrid Demucs
)  # fmt: skip

MODELS: dict[str, Published] = {
    "CONVTASNET_BASE_LIBRI2MIX": SPEECH,
    "HDEMUCS_HIGH_MUSDB_PLUS": MUSIC,
    "HDEMUCS_HIGH_MUSDB": MUSIC,
}


def load(name: str, device: torch.device) -> Model:
    """The model of a pipeline, its weights downloaded where they aren't on the disk.

    Raises InputError for an unknown pipeline, and where the weights can't be had, saying where they
    are and where they belong.
    """
    if name not in MODELS:
        raise InputError(f"{PREFIX}{name}: there is no such model; there are {', '.join(MODELS)}")
    from torchaudio import pipelines  # here: no other model needs it, and it takes its time

    about, bundle = MODELS[name], getattr(pipelines, name)
    config = Config({
        "data": {**about.data, "sample_rate": bundle.sample_rate},
        "loss": {
            "name": "published", "heads": ["waveforms"], "scale_invariant": about.scale_invariant,
        },
        "model": dict(about.model),
        "stft": dict(STFT),
        "training": {"source": f"torchaudio.pipelines.{name}"},
    }, f"{PREFIX}{name}")  # fmt: skip
    adapter = build(config["model"], "model")
    adapter.network.load_state_dict(_weights(name, bundle))
    stft = build(config["stft"], "stft")
    separation = separation_of(config, adapter, stft, device, about.chunk, about.overlap)
    return Model(f"{PREFIX}{name}", config, separation)


def _weights(name: str, bundle: Any) -> Mapping[str, torch.Tensor]:
    path = Path(torch.hub.get_dir()) / "torchaudio" / bundle._model_path
    try:
        weights: Mapping[str, torch.Tensor] = bundle.get_model().state_dict()
    except Exception as error:  # of the network, of the disk, or of a file that isn't whole
        reason = shown(" ".join(str(error).split())[:200]) or type(error).__name__
        raise InputError(
            f"{PREFIX}{name}: its weights can't be loaded ({reason}): download "
            f"{PAGE}{bundle._model_path} to {path}"
        ) from error
    return weights
