"""Models on the Hugging Face hub, or one that HF_ENDPOINT names, kept in its local cache."""

from collections.abc import Sequence
from pathlib import Path

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
        reason = shown(" ".join(str(error).split())[:200])
        raise InputError(
            f"{name}: no such folder, and it can't be had from the hub ({reason})"
        ) from error
