"""What a command asks for: its objects, its directory, and whether that is there already."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from network import ERRORS

from autoclip_sep.building.build import build, call
from autoclip_sep.cli import compose
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.clipping import Clipper
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.config import check
from autoclip_sep.training.schedulers import try_optimizer

Count = Annotated[int, range(1, 2**31)]
COUNTS = ("batch_size", "iterations", "channels", "record_every")
# What the directory's name tells, or what doesn't change the numbers.
NAMED = re.compile(
    r"images|error|batch_size|rate|optimizer\.lr|seed|root|runs|threads"
    rf"|{run_directory.LABELLED}|percentile"
)
FREE = ("root", "runs", "threads")


@dataclass(frozen=True)
class Settings:
    """A command, understood and checked; nothing is on disk yet.

    config: every setting, the learning rate filled in. optimizer: of a network's parameters.
    """

    config: dict[str, Any]
    clipper: Clipper
    optimizer: Callable[..., torch.optim.Optimizer]
    directory: Path

    def finished(self) -> bool:
        """Whether the run is done.

        Raises InputError where the directory holds a run of other settings, naming them.
        """
        if run_directory.read_state(self.directory).get("status") != "finished":
            return False
        run_directory.check_same(self.directory, self.config, free=FREE.__contains__)
        return True


def understand(arguments: Sequence[str]) -> Settings:
    """The settings that the arguments ask for; raises InputError for whatever is wrong."""
    composed = compose.compose("supersampling", arguments)
    config = compose.plain(composed)
    check_choice(config, "images", "photographs", "cifar10")
    check_choice(config, "error", *ERRORS)
    for key in COUNTS:
        check(config[key], Count, key)
    chosen = compose.choices(composed)
    rates = config.pop("rates")
    config["optimizer"]["lr"], config["rate"] = _rate(config, chosen["optimizer"], rates)
    clipper: Clipper = build(config["clipping"], "clipping")
    optimizer = build(config["optimizer"], "optimizer")
    call(try_optimizer, "optimizer", optimizer)  # what it refuses is said before a run begins
    name = config["rate"] or f"lr{config['optimizer']['lr']:g}"
    parts = (
        "supersampling", config["images"], config["error"], f"batch{config['batch_size']}",
        f"{chosen['optimizer']}_{name}", clipper.label,
    )  # fmt: skip
    names = [f"{group}={chosen[group]}" for group in ("clipping", "optimizer")]
    default = compose.plain(compose.compose("supersampling", names))
    changed = run_directory.changed(config, default, ignored=NAMED.fullmatch)
    directory = Path(config["runs"]) / run_directory.directory_name(parts, config["seed"], changed)
    return Settings(config, clipper, optimizer, directory)


def _rate(
    config: Mapping[str, Any], optimizer: str, rates: Mapping[str, Any]
) -> tuple[float, str | None]:
    """The learning rate, and its name in the table where it is from there."""
    lr = config["optimizer"]["lr"]
    check(lr, float | None, "optimizer.lr")
    if lr is not None:
        return lr, None
    if optimizer not in rates:
        raise InputError(
            f"optimizer={optimizer}: configs/supersampling.yaml has no rates for it: "
            "add optimizer.lr=..."
        )
    table = rates[optimizer][config["error"]]
    check_choice(config, "rate", *table)
    return table[config["rate"]], config["rate"]
