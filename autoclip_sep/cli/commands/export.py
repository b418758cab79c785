"""``autoclip-sep export``: a trained network as files to carry away."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.building.build import trust
from autoclip_sep.cli import command, compose, trained
from autoclip_sep.cli.arguments import check_choice, near
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.pretrained import Model, mask_network, nussl_file, save_pretrained

USAGE = """
python scripts/export_model.py run=runs/... output=FOLDER [formats=[safetensors,onnx,...]]

Writes a trained network into a folder, in one or more of these formats:

safetensors    model.safetensors, config.json and a model card, README.md, of what the run recorded;
               read by separate.py model=FOLDER, and in Python by
               autoclip_sep.pretrained.from_pretrained(FOLDER)
onnx           model.onnx: magnitudes in; masks, an embedding or both out
torch_export   model.pt2: the same for torch.export.load, which needs nothing of this package
nussl          model.pth: for nussl's DeepMaskEstimation and DeepClustering

model= takes a model folder, owner/name on a hub, torchaudio:NAME or a checkpoint of nussl instead
of a run. trust=PACKAGE lets it name your own code.
"""

FORMATS: dict[str, Callable[[Model, Path], Any]] = {
    "safetensors": save_pretrained,
    "onnx": mask_network.save_onnx,
    "torch_export": mask_network.save_exported,
    "nussl": nussl_file.save,
}


def main() -> None:
    """The command."""
    command.main("export", export, USAGE)


def export(arguments: Sequence[str]) -> None:
    """Write the formats that the arguments name."""
    settings = compose.plain(compose.compose("export", arguments))
    check_choice(settings, "checkpoint", "best", "last", "ema")
    asked = settings["formats"]
    formats = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    for one in formats:
        if one not in FORMATS:
            known = ", ".join(FORMATS)
            raise InputError(
                f"formats={one}: there is no such format{near(one, FORMATS)}; there are {known}"
            )
    if not formats:
        raise InputError(f"formats=[]: name one or more of {', '.join(FORMATS)}")
    trust(settings["trust"])
    model = trained.load_model(settings, torch.device("cpu"))
    folder = Path(settings["output"])
    for one in formats:
        FORMATS[one](model, folder)
    held = ", ".join(sorted(entry.name for entry in folder.iterdir()))
    print(shown(f"{model.name} -> {folder}: {held}"))
