"""A trained run, read back from its directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.building.build import NotBuilt, build
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.names import shown
from autoclip_sep.runs import checkpoint, run_directory, sources
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.saved_state import validated_weights

CHUNK = 60  # seconds
OVERLAP = 1 / 12  # of a chunk


@dataclass(frozen=True)
class Trained:
    """A run's config, its network with the weights of a checkpoint, and which one that was.

    checkpoint, sha256: its name and digest. epochs: how many it had been trained for.
    """

    directory: Path
    config: dict[str, Any]
    separation: Separation
    checkpoint: str
    sha256: str
    epochs: int


def load(directory: str, kind: str, device: torch.device) -> Trained:
    """Read a run; kind is the checkpoint wanted: best or last.

    Raises InputError where the directory is no run, or has no checkpoint yet, or one whose weights
    don't fit the run's network or aren't finite.
    """
    path = Path(directory)
    config = run_directory.read_config(path)
    folder = CheckpointFolder(path / "checkpoints")
    state, complaints = folder.newest(kind)
    for complaint in complaints:
        print(shown(f"{complaint}; using the one before"))
    if state is None:
        what = "train it for an epoch first"
        if folder.paths("last"):
            what = "no epoch had a finite validation loss; train on, or take checkpoint=last"
        raise InputError(f"{path} has no '{kind}' checkpoint yet: {what}")
    used = folder.paths(kind)[-1 - len(complaints)]
    try:
        model = build(config["model"], "model")
        stft = build(config["stft"], "stft").to(device)
        model.load_state_dict(validated_weights(state["model"], model))
        rate = config["data"]["sample_rate"]
        separation = Separation(
            model.to(device),
            stft,
            config["data"]["sources"],
            device,
            permute=sources.are_permuted(config),
            chunk=CHUNK * rate,
            overlap=int(OVERLAP * CHUNK * rate),
            scaled=not config["loss"].get("scale_invariant", False),
        )
    except NotBuilt as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{used} doesn't fit the config beside it: {reason}") from error
    return Trained(
        path, config, separation, used.stem, checkpoint.digest(used), int(used.stem.split("-")[2])
    )
