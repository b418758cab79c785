"""What a run's own records say of its training and its scores."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autoclip_sep.building.build import build, find
from autoclip_sep.errors import InputError
from autoclip_sep.pretrained.run import Trained
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs import scores as score_tables
from autoclip_sep.runs.scores import BEFORE, GAIN
from autoclip_sep.statistics.interval import LEVEL, of_items

SPLITS = ("test", "train", "valid")


def training(run: Trained) -> dict[str, Any]:
    """The corpus with its licence, clipping, optimizer, steps, checkpoint and provenance."""
    config = run.config
    trainer, provenance = config.get("trainer", {}), run_directory.read_provenance(run.directory)
    return {
        "corpus": _corpus(config),
        "clipping": _label(config),
        "optimizer": _node(config.get("optimizer", {})),
        "batch_size": trainer.get("batch_size"),
        "segment": trainer.get("segment"),  # samples
        "seed": config.get("seed"),
        "steps": run.steps,
        "epochs": run.epochs,
        "checkpoint": run.checkpoint,
        "sha256": run.sha256,
        "parameters": sum(weight.numel() for weight in run.separation.model.parameters()),
        "provenance": dict(provenance),
    }


def _corpus(config: Mapping[str, Any]) -> dict[str, Any]:
    """What is in it and its licence, where its class or its config says so."""
    data = config["data"]
    try:
        made_by: Any = find(data["corpus"]["_target_"], "data.corpus")
    except (InputError, KeyError, TypeError):  # of a package that isn't there any more
        made_by = None
    told = {key: data.get(key) or getattr(made_by, key, None) for key in ("content", "licence")}
    return {key: value for key, value in told.items() if isinstance(value, str)}


def _label(config: Mapping[str, Any]) -> str | None:
    try:
        return str(build(config["clipping"], "clipping").label)
    except (InputError, KeyError):
        return None


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    """A class by its own name, and its settings."""
    settings = {key: value for key, value in node.items() if not key.startswith("_")}
    return {"name": str(node.get("_target_", "")).rpartition(".")[2], **settings}


def scores(run: Trained) -> list[dict[str, Any]]:
    """A row for each score in the run's tables of this very checkpoint and of the run's corpus."""
    rows = []
    fingerprint = run_directory.read_provenance(run.directory).get("fingerprint")
    for split in SPLITS:
        for metric, path in score_tables.tables(run.directory, split).items():
            of = score_tables.note(path).get("provenance", {})
            other = fingerprint not in (None, of.get("fingerprint", fingerprint))  # by force=true
            if of.get("sha256") == run.sha256 and not other:
                rows += [{"split": split, "metric": metric, **row} for row in _summaries(path)]
    return rows


def _summaries(path: Path) -> Iterator[dict[str, Any]]:
    """Of each score, and of how much better it is than the mixture's where that is known.

    Mean and median are over sources, as evaluate.py's, the mean's interval over items, which weigh
    as many sources as have a score.
    """
    table, columns = score_tables.read(path), records.header(path)
    for name in sorted(map(str, table), key=lambda name: columns.index(name.removesuffix(GAIN))):
        defined = table[name][np.isfinite(table[name])]
        if name.endswith(BEFORE) or defined.empty:
            continue
        found = of_items(defined.to_frame())
        yield {
            "score": name, "mean": found.mean,
            "interval": [found.low, found.high] if math.isfinite(found.low) else None,
            "level": LEVEL, "median": float(defined.median()),
            "items": found.items, "undefined": len(table) - len(defined),
        }  # fmt: skip
