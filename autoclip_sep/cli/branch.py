"""``train.py branch_from=RUN step=K ...``: the trunk's config with the settings that are given."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from autoclip_sep.cli import compose, corpus
from autoclip_sep.cli.arguments import near
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.config import Config
from autoclip_sep.training.settings import Settings

# What may differ from the trunk: neither the network nor the order of the data.
GROUPS = ("clipping", "optimizer", "scheduler", "logger")
MAY_BE_GIVEN = re.compile(
    rf"(branch_from|step|percentile|freeze|force|runs|({'|'.join(GROUPS)})(\..+)?"
    r"|trainer\.(?!batch_size$|segment$|overfit_batches$).+|data\.(root|store|corpora))"
)
OF_EVERY_RUN = {"force", "freeze", "step", *(f"trainer.{one.name}" for one in fields(Settings))}


def asked(arguments: Sequence[str]) -> bool:
    """Whether a train command is about a branch."""
    return any(argument.startswith("branch_from=") for argument in arguments)


def config(arguments: Sequence[str]) -> tuple[Config, Path]:
    """A branch's config, and the directory of its trunk.

    Raises InputError for settings that a branch has from its trunk, and for any other mistake.
    """
    rest, paths = compose.set_paths_aside(arguments)
    places = dict(one.split("=", 1) for one in paths)
    given = {str(one.key_or_group): one for one in compose.parse(rest)}
    for key in (*given, *places):
        if not MAY_BE_GIVEN.fullmatch(key):
            raise InputError(
                f"{key}: a branch has its trunk's data, batches, network, loss and seed; leave it"
                " out, or start a new run"
            )
    trunk = Path(places.pop("branch_from"))
    if "step" not in given:
        raise InputError("step is missing: add step=..., where the branch leaves its trunk")
    before = run_directory.read_config(trunk)
    base = OmegaConf.create(_literal(before))
    for key in ("init_from", "init_strict"):  # the trunk's matter
        base.pop(key, None)
    base.branch_from = _literal(str(trunk))
    base.runs = _literal(places.pop("runs", "runs"))
    _choose(base, given)
    _set(base, given)
    made = compose.plain(base)
    moved = {key.rpartition(".")[2]: Path(place) for key, place in places.items()}
    return Config(corpus.moved(made, moved)), trunk


def _choose(base: DictConfig, given: Mapping[str, Override]) -> None:
    """Replace the groups of which another file is chosen."""
    chosen = [key for key in GROUPS if key in given]
    if not chosen:
        return
    below = re.compile(rf"({'|'.join(chosen)})(\..+)?|percentile")
    composed = compose.compose(
        "train", [str(one.input_line) for key, one in given.items() if below.fullmatch(key)]
    )
    for group in chosen:
        base[group] = OmegaConf.to_container(composed[group], resolve=False)
    if "clipping" in chosen:
        base.pop("percentile", None)
        if "percentile" in composed:
            base.percentile = composed.percentile


def _set(base: DictConfig, given: Mapping[str, Override]) -> None:
    """Set the other values: of keys that the trunk has, or that every run has."""
    flat: Any = OmegaConf.to_container(base, resolve=False)
    known = run_directory.flatten(flat)
    settable = {*known, *OF_EVERY_RUN}
    chosen = [key for key in GROUPS if key in given]
    for key, override in given.items():
        if key.partition(".")[0] in chosen:
            continue
        if override.type != OverrideType.CHANGE or override.is_sweep_override():
            raise InputError(f"{shown(str(override.input_line))}: must be key=value, one value")
        if key not in settable:
            raise InputError(f"{key}: the trunk has no such setting{near(key, settable)}")
        OmegaConf.update(base, key, override.value())
        if key == "percentile" and "clipping" not in chosen:  # which the clipper's follows
            for own in known:
                if re.fullmatch(r"clipping\.(.+\.)?percentile", own):
                    OmegaConf.update(base, own, override.value())


def _literal(value: Any) -> Any:
    """A config's values such that OmegaConf interpolates none of them."""
    if isinstance(value, Mapping):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_literal(inner) for inner in value]
    return compose.literal(value) if isinstance(value, str) else value


def origin(path: str | Path, runs: str | Path) -> str:
    """Where another run lies, seen from the folder of all runs: the same wherever both move to."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(runs))
