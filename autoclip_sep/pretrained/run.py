"""A trained run, read back from its directory."""

from dataclasses import dataclass
from pathlib import Path

import torch

from autoclip_sep.building.build import NotBuilt, build
from autoclip_sep.errors import InputError
from autoclip_sep.pretrained.model import Model, separation_of
from autoclip_sep.runs import checkpoint, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, position
from autoclip_sep.runs.saved_state import validated_weights


@dataclass(frozen=True)
class Trained(Model):
    """A run's config, its network with the weights of a checkpoint, and which one that was.

    checkpoint, sha256: its name and digest. steps, epochs: how long it had been trained.
    """

    directory: Path
    checkpoint: str
    sha256: str
    steps: int
    epochs: int


def load(directory: str | Path, kind: str, device: torch.device) -> Trained:
    """Read a run; kind is the checkpoint wanted: best, last or ema (averaged weights).

    Raises InputError where the directory is no run, or has no checkpoint yet, or one whose weights
    don't fit the run's network or aren't finite.
    """
    path = Path(directory)
    config = run_directory.read_config(path)
    folder = CheckpointFolder(path / "checkpoints")
    found = folder.read(kind)
    if found is None:
        what = "train it for an epoch first"
        if kind == "ema" and not config.get("trainer", {}).get("ema_decay"):
            what = "no weights are averaged without trainer.ema_decay"
        elif folder.paths("last"):
            what = "no epoch had a finite validation loss; train on, or take checkpoint=last"
        raise InputError(f"{path} has no '{kind}' checkpoint yet: {what}")
    used, state = found
    try:
        network = build(config["model"], "model")
        stft = build(config["stft"], "stft")
        network.load_state_dict(validated_weights(state["model"], network))
        separation = separation_of(config, network, stft, device)
    except NotBuilt as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{used} doesn't fit the config beside it: {reason}") from error
    sha256 = checkpoint.digest(used)
    return Trained(str(path), config, separation, path, used.stem, sha256, *position(used))
