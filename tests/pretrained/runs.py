"""Runs that nobody trained, with records of evaluation as they would be."""

import json
from pathlib import Path

import torch

from autoclip_sep.building.build import build
from autoclip_sep.cli import compose
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, digest

SMALL = [
    "model.hidden=4", "model.layers=2", "data.window_length=64", "data.hop_length=32",
    "stft.hop_length=32",
]  # fmt: skip
TABLE = """item,source,estimate,si_sdr,si_sdr_mixture,silent
a,1,1,5.0,0.0,0
a,2,2,7.0,1.0,0
b,1,2,9.0,2.0,0
b,2,1,nan,0.0,1
c,1,1,1.0,-1.0,0
c,2,2,3.0,0.0,0
"""


def untrained(folder: Path, *arguments: str, small: bool = True) -> Path:
    """A run whose network has its first weights, and a normalisation of its own."""
    config = compose.plain(compose.compose("train", [*(SMALL if small else []), *arguments]))
    folder.mkdir(parents=True)
    run_directory.write_config(folder, config)
    torch.manual_seed(0)
    state = build(config["model"], "model").state_dict()
    for key, value in state.items():
        if key.startswith("norm.") and value.is_floating_point():
            value.uniform_(0.5, 2)
    CheckpointFolder(folder / "checkpoints").save("best", 12, 3, {"model": state})
    run_directory.write_json(folder / "provenance.json", {"commit": "abc123", "version": "0.1.0"})
    return folder


def evaluated(run: Path, sha256: str = "") -> Path:
    """The same with the scores of three mixtures, one source of which is silent."""
    (run / "evaluation").mkdir()
    (run / "evaluation" / "test.csv").write_text(TABLE)
    (checkpoint,) = (run / "checkpoints").glob("best-*.pt")
    provenance = {"sha256": sha256 or digest(checkpoint)}
    (run / "evaluation" / "test.json").write_text(json.dumps({"provenance": provenance}))
    return run
