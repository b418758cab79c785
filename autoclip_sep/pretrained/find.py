"""A model by its name: a run, a folder, a hub's, torchaudio's or nussl's."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from autoclip_sep.building.build import trust as trust_packages
from autoclip_sep.errors import InputError
from autoclip_sep.pretrained import folder, hub, nussl_file, published, run
from autoclip_sep.pretrained.model import Model

ON_A_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def from_pretrained(
    name: str | Path,
    *,
    device: torch.device | str = "cpu",
    checkpoint: str = "best",
    trust: str | Sequence[str] = (),
) -> Model:
    """The model of that name; nothing in its files runs.

    name: a run directory, a folder that `save_pretrained` wrote, a checkpoint of nussl (a file),
    ``torchaudio:CONVTASNET_BASE_LIBRI2MIX`` and the like, or ``owner/name`` on the Hugging Face
    hub. What is on the disk comes first. checkpoint: best, last or ema, of a run. trust: packages
    whose code its config may name, for this process from now on.

    Raises InputError where there is no such model, or one that can't be loaded.
    """
    trust_packages(trust)
    text, path, target = str(name), Path(name), torch.device(device)
    if text.startswith(published.PREFIX):
        return published.load(text.removeprefix(published.PREFIX), target)
    if path.is_file():
        return nussl_file.load(path, target)
    if (path / "config.yaml").is_file():
        return run.load(path, checkpoint, target)
    if path.is_dir():
        return folder.read(path, target)
    if ON_A_HUB.fullmatch(text):
        return folder.read(hub.download(text, folder.FILES), target, text)
    raise InputError(
        f"{text}: there is no such folder; a model is a folder, owner/name on a hub, or "
        f"{' or '.join(f'{published.PREFIX}{one}' for one in published.MODELS)}"
    )
