"""What a train command means: its objects, its directory, and whether that may go on."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.building.build import build, foreign_packages
from autoclip_sep.cli import branch, compose, system_errors
from autoclip_sep.clipping import Clipper
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory, sources
from autoclip_sep.runs.config import Config
from autoclip_sep.training.branching import Branch
from autoclip_sep.training.settings import Settings

NAMED = ("data", "loss", "model", "clipping")  # the groups whose choices a directory's name tells

# Settings that don't change a run's numbers, or that its directory's name already tells.
FREE = re.compile(
    r"logger\..*|runs|force|seed|percentile"
    rf"|{run_directory.LABELLED}"
    r"|trainer\.(epochs|progress|workers|threads|device|checkpoint_every|keep_every)"
    r"|trainer\.(gradient_checkpointing|profile|store_on_device)"
    r"|(.*\.)?(root|store|corpora)|data\.(cache|cache_size|licence|corpus\.expected.*)"
)
# Of these, the ones that say which run it is: they may not change when a run goes on.
FIXED = re.compile(r"seed|percentile|clipping\..*")
# Settings of runs that start from another one; a run that has none of them doesn't name them.
START: dict[str, Any] = {
    "init_from": None, "init_strict": True, "freeze": None, "branch_from": None, "step": None,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A train command, understood and checked; nothing is on disk yet.

    source: of its initial weights. trunk: the run that it is a branch of.
    """

    config: dict[str, Any]
    clipper: Clipper
    settings: Settings
    directory: Path
    source: Path | None = None
    trunk: "Plan | None" = None

    @property
    def seed(self) -> int:
        """Of initialisation, data order and dropout."""
        return int(self.config["seed"])

    def branch(self) -> Branch:
        """What this run has of its trunk."""
        assert self.trunk is not None
        own, trunk = self.config, self.trunk.config
        clipper, optimizer = (
            own[key]["_target_"] == trunk[key]["_target_"] for key in ("clipping", "optimizer")
        )
        rates = (one["optimizer"].get("lr") for one in (own, trunk))
        scheduled = own["scheduler"] == trunk["scheduler"] and len({*map(str, rates)}) == 1
        return Branch(self.trunk.directory, own["step"], clipper, optimizer, scheduled)

    def evaluation(self) -> list[str]:
        """The arguments of evaluate.py for this run."""
        trusted = ",".join(sorted(foreign_packages(self.config)))
        return [f"run={self.directory}", *([f"trust=[{trusted}]"] if trusted else [])]

    def finished(self) -> bool:
        """Whether the run has ended, with all its epochs or early, on the corpus that is asked for.

        Where that lies elsewhere than it did, only a look at it can tell, unless force=true.
        """
        state = run_directory.read_state(self.directory)
        if state.get("status") != "finished":
            return False
        if state.get("epochs", 0) < self.settings.epochs and "reason" not in state:
            return False
        return bool(self.config["force"]) or self._same_root()

    def check_directory(self) -> None:
        """Refuse a directory that belongs to another config; InputError names the keys."""
        if (self.directory / "config.yaml").exists():
            run_directory.check_same(self.directory, self.config, free=_may_differ)
        elif earlier := self._earlier_directory():
            raise InputError(
                f"{earlier} is this run, begun when directories were named otherwise: rename it to "
                f"{self.directory}, or choose another folder with runs=..."
            )

    def check_memory(self) -> None:
        """Refuse what can't fit; where memory is promised that isn't there, a process is killed.

        A batch of waveforms, and the network's weights and their gradients: 4 bytes a number.
        """
        data, there = self.config["data"], system_errors.memory()
        examples = self.settings.batch_size * self.settings.segment
        with torch.device("meta"):
            weights = sum(map(torch.numel, build(self.config["model"], "model").parameters()))
        for what, numbers in (
            ("model", 2 * weights),
            ("trainer.segment, batch_size", examples * data["channels"] * (data["sources"] + 1)),
        ):
            if 4 * numbers > there:
                raise InputError(
                    f"{what}: {4e-9 * numbers:,.0f} GB of memory are needed for that alone, and "
                    f"there are {1e-9 * there:,.0f}: choose smaller ones"
                )

    def _earlier_directory(self) -> Path | None:
        """Of this run where a clipper's settings were among what the six digits stand for."""
        for path in self.directory.parents[1].glob(f"*/seed{self.seed}-*/config.yaml"):
            with suppress(InputError):  # of another run, or a damaged one
                run_directory.check_same(path.parent, self.config, free=_may_differ)
                return path.parent
        return None

    def _same_root(self) -> bool:
        if not (self.directory / "config.yaml").exists():
            return True
        asked, had = _root(self.config), _root(run_directory.read_config(self.directory))
        return not (asked and had) or os.path.realpath(asked) == os.path.realpath(had)


def asked_for(arguments: Sequence[str]) -> dict[str, Any]:
    """The config that a train command asks for; raises InputError where there is none."""
    if branch.asked(arguments):
        return branch.config(arguments)[0]
    return compose.plain(compose.compose("train", arguments))


def plan(arguments: Sequence[str]) -> Plan:
    """Understand a train command.

    Raises InputError for whatever is wrong with it.
    """
    if branch.asked(arguments):
        return _branch(*branch.config(arguments))
    composed = compose.compose("train", arguments)
    return understand(compose.plain(composed), compose.choices(composed))


def understand(config: dict[str, Any], chosen: Mapping[str, str]) -> Plan:
    """The plan that a composed config is; chosen: the file of each group. Raises as `plan` does."""
    clipper: Clipper = build(config["clipping"], "clipping")
    settings: Settings = build(config["trainer"], "trainer")
    source = Path(config["init_from"]) if config["init_from"] is not None else None
    config = _without_usual_start(Config(config))
    given = run_directory.flatten(config)
    names = tuple(f"{group}={chosen[group]}" for group in NAMED)
    required = tuple(f"{key}={given[key]}" for key in _keys_required(names))
    default = _defaults(names, required)
    sources.names(config)
    _check_network(given, run_directory.flatten(default))
    changed = run_directory.changed(config, default, ignored=FREE.fullmatch)
    parts = (chosen["data"], chosen["loss"], chosen["model"], clipper.label)
    directory = Path(config["runs"]) / run_directory.directory_name(parts, config["seed"], changed)
    return Plan(config, clipper, settings, directory, source)


def _without_usual_start(config: Config) -> Config:
    """The config without the settings of START that are as usual, its paths seen from `runs`."""
    if config["step"] is not None and config["branch_from"] is None:
        raise InputError("step: only a branch leaves at one; add branch_from=RUN")
    if config["init_strict"] is not True and config["init_from"] is None:
        raise InputError("init_strict: there are no initial weights; add init_from=RUN")
    paths = {
        key: branch.origin(config[key], config["runs"])
        for key in ("init_from", "branch_from")
        if config[key] is not None
    }
    kept = {k: v for k, v in config.items() if k not in START or v != START[k]}
    return Config({**kept, **paths})


def of_run(directory: Path) -> Plan:
    """The plan of a run that was begun before."""
    config = run_directory.read_config(directory)
    source = config.get("init_from")
    runs = Path(os.path.realpath(directory)).parents[4] if source else Path()
    return Plan(
        config,
        build(config["clipping"], "clipping"),
        build(config["trainer"], "trainer"),
        directory,
        source=runs / source if source else None,
    )


def _branch(config: Config, trunk: Path) -> Plan:
    """The plan of a branch; chosen names of data, loss and model are its trunk's."""
    of_trunk = of_run(trunk)
    first = of_trunk.config.get("step", 1)
    if config["step"] < first:
        raise InputError(
            f"step={config['step']}: {trunk} is a branch from step {first} on; branch from its "
            f"trunk instead, {of_trunk.config['branch_from']}"
        )
    clipper: Clipper = build(config["clipping"], "clipping")
    settings: Settings = build(config["trainer"], "trainer")
    config = _without_usual_start(Config({**START, **config}))
    place = Path(os.path.realpath(trunk))
    parts = place.parts[-5:-2]
    if not re.match(r"seed\d", place.name) or len(place.parts) < 6:  # renamed
        network = str(config["model"]["_target_"]).rpartition(".")[2]
        parts = (config["data"]["name"], config["loss"]["name"], network)
    changed = run_directory.changed(config, of_trunk.config, ignored=FREE.fullmatch)
    if "freeze" in of_trunk.config and "freeze" not in config:
        changed["freeze"] = None
    name = run_directory.directory_name((*parts, clipper.label), config["seed"], changed)
    name = name.with_name(f"{name.name}-{of_trunk.clipper.label}-step{config['step']}")
    return Plan(config, clipper, settings, Path(config["runs"]) / name, trunk=of_trunk)


def _check_network(given: run_directory.Flat, default: run_directory.Flat) -> None:
    """Refuse a network that gives anything but what its loss trains, for what the corpus has.

    Separation may listen to a head that nothing trained. Where somebody's own network calls
    something else its heads or sources, that is left alone.
    """
    heads, count = default.get("loss.heads"), given["data.sources"]
    for key in ("loss.heads", "model.heads"):
        if not isinstance(heads, list) or default.get(key) != heads:
            continue
        wanted = given.get(key)
        if not isinstance(wanted, list) or set(map(str, wanted)) != set(heads):
            raise InputError(
                f"{key}={wanted}: this loss trains {' and '.join(heads)}, no more and no less; "
                f"leave {key} out"
            )
    follows = default.get("model.sources") == default["data.sources"]
    if follows and given.get("model.sources") != count:
        raise InputError(
            f"model.sources={given.get('model.sources')!r}: data.sources is {count}; leave "
            "model.sources out"
        )


def _may_differ(key: str) -> bool:
    """Whether a setting may change when a run goes on."""
    return bool(FREE.fullmatch(key)) and not FIXED.fullmatch(key)


def _root(config: Mapping[str, Any]) -> str | None:
    """The folder that a run's corpus is read from, where its config names one."""
    corpus: Mapping[str, Any] = config.get("data", {}).get("corpus", {})
    return corpus.get("root")


# Composing takes tenths of a second, and the runs of a sweep share most of their choices.
@cache
def _keys_required(names: tuple[str, ...]) -> list[str]:
    return compose.missing_keys(compose.compose("train", names))


@cache
def _defaults(names: tuple[str, ...], required: tuple[str, ...]) -> Config:
    """The default config of these choices."""
    return compose.plain(compose.compose("train", [*names, *required]))
