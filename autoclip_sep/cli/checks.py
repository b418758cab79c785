"""Values of the commands' own settings, checked before anything else happens."""

from collections.abc import Mapping
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.training.settings import MOST


def check_flag(settings: Mapping[str, Any], key: str) -> None:
    """Refuse what is neither true nor false: ``no`` is a text, and a text counts as true."""
    if not isinstance(settings[key], bool):
        raise InputError(f"{key}={settings[key]}: true or false is wanted")


def check_choice(settings: Mapping[str, Any], key: str, *choices: str) -> None:
    """Refuse what isn't one of the choices."""
    if settings[key] not in choices:
        raise InputError(f"{key}={settings[key]}: one of {', '.join(choices)} is wanted")


def check_threads(settings: Mapping[str, Any]) -> None:
    """Refuse a number of threads that isn't a whole number, or that no machine has."""
    threads = settings["threads"]
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MOST:
        raise InputError(
            f"threads={threads}: a whole number from 0 (torch's own choice) to {MOST} is wanted"
        )
