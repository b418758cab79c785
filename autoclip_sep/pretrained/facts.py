"""What a run's own records say of its training and its scores."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

from autoclip_sep.building.build import build, find
from autoclip_sep.errors import InputError
from autoclip_sep.pretrained.run import Trained
from autoclip_sep.runs import records, run_directory

SPLITS = ("train", "valid", "test")
MIXTURE = "_mixture"  # the unprocessed mixture's scores end so
NO_SCORES = {"item", "source", "estimate", "silent"}


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
    corpus = run_directory.read_provenance(run.directory).get("fingerprint")
    for path in sorted((run.directory / "evaluation").glob("*.csv")):
        split, _, metric = path.stem.partition("_")
        of = run_directory.read_json(path.with_suffix(".json")).get("provenance", {})
        if not isinstance(of, Mapping) or corpus not in (None, of.get("fingerprint", corpus)):
            continue  # of another corpus, by force=true
        if split in SPLITS and of.get("sha256") == run.sha256:
            table = _table(path)
            rows += [{"split": split, "metric": metric or "si_sdr", **row} for row in table]
    return rows


def _table(path: Path) -> Iterator[dict[str, Any]]:
    """Each column of numbers, and how much better it is than the mixture's where that is known."""
    rows = records.read(path)
    columns = [key for key in (rows[0] if rows else {}) if key not in NO_SCORES]
    numbers = {key: [_number(row[key]) for row in rows] for key in columns}
    items = [row["item"] for row in rows]
    for key, values in numbers.items():
        if key.endswith(MIXTURE):
            continue
        yield from _summary(key, items, values)
        if before := numbers.get(key + MIXTURE):
            better = [one - other for one, other in zip(values, before, strict=True)]
            yield from _summary(f"{key}_improvement", items, better)


def _summary(name: str, items: list[str], values: list[float]) -> Iterator[dict[str, Any]]:
    """Mean and interval over items, which weigh as many sources as have a score; none of no scores.

    The mean is that over sources, as evaluate.py's. The median is that of the items' means.
    """
    # Here, as scipy.stats takes a second, and commands that read a model needn't wait for it.
    from autoclip_sep.statistics.interval import LEVEL, interval

    by_item: dict[str, list[float]] = {}
    for item, value in zip(items, values, strict=True):
        if math.isfinite(value):
            by_item.setdefault(item, []).append(value)
    if not by_item:
        return
    means = [fmean(sources) for sources in by_item.values()]
    counts = [len(sources) for sources in by_item.values()]
    found = interval(means, counts)
    bounds = [found.low, found.high] if math.isfinite(found.low) else None
    defined = sum(counts)
    yield {
        "score": name, "mean": found.mean, "interval": bounds, "level": LEVEL,
        "median": median(means), "items": len(means), "undefined": len(values) - defined,
    }  # fmt: skip


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
