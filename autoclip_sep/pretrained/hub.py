"""Models on the Hugging Face hub, or one that HF_ENDPOINT names, kept in its local cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.optional import require


def download(name: str, files: Sequence[str]) -> Path:
    """The folder with these files of the repository owner/name, and no others.

    Raises InputError where there is neither a local folder nor a repository of that name, or no
    network and no copy from before.
    """
    what = f"{name}: there is no such folder; a model on a hub"
    hub = require("huggingface_hub", what)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:  # of its client's own types, with all kinds of servers
        raise InputError(
            f"{name}: no such folder, and {hub.constants.ENDPOINT} doesn't give it"
            f" ({_reason(hub, error)}): look for a mistake in the name, connect this machine, or"
            " copy the model's folder here"
        ) from error


def _reason(hub: Any, error: Exception) -> str:
    """In a few words: hub's own are paragraphs, of which the first line rarely says what failed."""
    if isinstance(error, hub.errors.RepositoryNotFoundError):
        return "no such repository, or a private one"
    if hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and there is no copy from before"
    failed = error.__cause__ if isinstance(error, hub.errors.LocalEntryNotFoundError) else error
    return shown(str(failed or error).strip().partition("\n")[0][:200])
