"""What the commands that score, separate and report have in common in their settings."""

from collections.abc import Sequence
from typing import Any

from autoclip_sep.building.build import call, trust
from autoclip_sep.cli import command, compose
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.training.settings import find_device

CHOICES = {"split": ("train", "valid", "test"), "checkpoint": ("best", "last", "ema")}


def read(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """A command's settings, where those that others have, too, are checked and in force.

    device: torch's own, in place of its name. threads are set, and packages trusted, for this
    process from now on. Raises InputError for what isn't there.
    """
    settings = compose.plain(compose.compose(name, arguments))
    for key in CHOICES.keys() & settings.keys():
        check_choice(settings, key, *CHOICES[key])
    command.set_threads(settings["threads"])
    trust(settings["trust"])
    return {**settings, "device": call(find_device, "device", settings["device"])}
