"""The corpus that a config names: made, and looked at before anything is trained or scored."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoclip_sep.building import config_files
from autoclip_sep.building.build import build
from autoclip_sep.cli.main import as_called
from autoclip_sep.data.checks.report import Report, check
from autoclip_sep.data.corpora.base import Corpus, KnowsSpeakers
from autoclip_sep.data.loading.random_speech import WSJ0_MIX, RandomSpeech
from autoclip_sep.data.loading.segments import Augmentation
from autoclip_sep.data.store import sharded
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory
from autoclip_sep.training import distributed

COMMAND = "python scripts/check_data.py"
CACHE, CACHE_SIZE = "cache", 20.0  # of a config that is older than these settings; GB


def prepare(config: Mapping[str, Any]) -> Store:
    """The corpus' store, made where it isn't there yet, by one process while others wait.

    Raises InputError where its sources, channels or rate aren't those of the config.
    """
    return store_of(corpus_of(config), config)


def corpus_of(config: Mapping[str, Any]) -> Corpus:
    """The corpus, nothing of it read yet."""
    corpus: Corpus = build(config["data"]["corpus"], "data.corpus")
    return corpus


def augmentation_of(config: Mapping[str, Any]) -> Augmentation | None:
    """How training examples are put together; None takes the corpus' own mixtures.

    Raises InputError for speech of sources that differ in kind, or by speakers that aren't known.
    """
    data = config["data"]
    node, speech = data.get("augmentation") or {}, RandomSpeech
    if not data["permute"] and node.get("_target_") == f"{speech.__module__}.{speech.__name__}":
        raise InputError(
            f"data.augmentation: {speech.__name__} is for speakers in any order, and the sources of"
            f" data={data['name']} differ in kind (data.permute=false): leave augmentation out"
        )
    made: Augmentation | None = build(data.get("augmentation"), "data.augmentation")
    if not isinstance(made, RandomSpeech) or not made.mix:
        return made
    found = corpus_of(config)
    if not isinstance(found, KnowsSpeakers):
        raise InputError(
            f"data.augmentation: data={data['name']} doesn't know its speakers, who must be known"
            " to mix different ones; data.augmentation.mix=false leaves its mixtures as they are"
        )
    levels = getattr(found, "levels", WSJ0_MIX)
    return replace(made, speakers_of=found.speakers_of, levels=levels)


def look_at(config: Mapping[str, Any], found: Corpus, store: Store) -> Report:
    """The report on the config's corpus: seconds for a new store, milliseconds later."""
    return check(
        store,
        permute=config["data"]["permute"],
        expected=found.expected,
        progress=distributed.rank() == 0,
    )


def ready(config: Mapping[str, Any], arguments: Sequence[str], *, force: bool) -> Store:
    """The store, with one line printed about it; what a job begins with.

    arguments: of the command that prints the whole report.

    Raises InputError as `prepare` does, and where training and test share sources, unless force.
    """
    found = corpus_of(config)
    store = store_of(found, config)
    report = look_at(config, found, store)
    if distributed.rank() == 0:
        words = [*config_files.flags(), *arguments]
        more = f": {as_called(COMMAND)} {shlex.join(words)}" if report.problems else ""
        print(shown(f"data: {report.line()}{more}"))
    if report.leak and not force:
        raise InputError(
            f"{report.leak}, such as {report.leak.places[0]}: leave them in one of the two, or add"
            " force=true"
        )
    return store


def check_unchanged(directory: Path, store: Store, *, force: bool) -> None:
    """Refuse a corpus other than the one that a run began with, wherever it lies, unless force.

    Where the run's own note of it is lost, one line says so.
    """
    began_with = run_directory.read_provenance(directory).get("fingerprint")
    if began_with is None:
        if (directory / "config.yaml").exists():
            lost = directory / run_directory.PROVENANCE
            print(shown(f"{lost} names no corpus: the run may have begun with another one"))
        return
    if began_with != store.fingerprint and not force:
        raise InputError(
            f"the corpus is not the one that {directory} began with ({store.fingerprint[:12]}, was"
            f" {began_with[:12]}): give the old one with data.root=..., move the run away, or add"
            " force=true"
        )


def moved(config: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config whose corpus lies elsewhere now.

    places: root, corpora, store, cache and cache_size, None for those that are as they were. Raises
    InputError for a place that the corpus hasn't.
    """
    given = {key: place for key, place in places.items() if place is not None}
    cache = {key: given.pop(key) for key in ("cache", "cache_size") if key in given}
    found = {key: str(place) for key, place in given.items()}
    data, corpus = config["data"], config["data"]["corpus"]
    for key, place in found.items():
        if key not in corpus:
            raise InputError(f"data.{key}={place}: data={data['name']} has no such folder")
    return {**config, "data": {**data, **found, **cache, "corpus": {**corpus, **found}}}


def of_data(arguments: Sequence[str]) -> list[str]:
    """Those of a train command's arguments that say which corpus it is."""
    keys = {argument: argument.partition("=")[0] for argument in arguments}
    return [one for one, key in keys.items() if key.split(".")[0] in ("data", "experiment")]


def store_of(found: Corpus, config: Mapping[str, Any]) -> Store:
    """The corpus' store, or the one in shards that data.store names.

    Raises InputError unless it has what the network is built for: not every corpus checks that.
    """
    data = config["data"]
    place = str(data.get("store") or "")
    if sharded.is_sharded(place):
        limit = int(1e9 * float(data.get("cache_size", CACHE_SIZE)))
        store = sharded.open_store(place, data.get("cache") or CACHE, limit)
    else:
        store = found.prepare(progress=distributed.rank() == 0)
    split = store.split("train")
    there = {"sources": split.sources, "channels": split.channels, "sample_rate": store.sample_rate}
    for key, value in there.items():
        if data[key] != value:
            raise InputError(f"data.{key}={data[key]}: data={data['name']} has {value}")
    return store
