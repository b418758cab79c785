"""Folders of generated corpora, and of the stores of corpora of files, also after a move."""

import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoclip_sep.data.store import fingerprints
from autoclip_sep.data.store.reading import Item
from autoclip_sep.names import check_name


def folder_for(root: str | os.PathLike[str], name: str, settings: Mapping[str, object]) -> Path:
    """`<root>/<name>-<hash of the settings>`: other settings, another corpus.

    Raises InputError where the name can't be part of a folder's.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return Path(root) / f"{check_name(name, 'data.corpus.name')}-{digest[:8]}"


def store_folder(
    store: str, name: str, settings: Mapping[str, object], root: Path, items: Sequence[Item]
) -> Path:
    """`<store>/<name>-<hash of settings and root>`, for this root or for the one before a move.

    That is where a store of the same settings was made from the same files, by their sizes and
    times, below a root that is gone. Two existing roots don't share a store: one may change.
    """

    def of(place: str) -> Path:
        return folder_for(store, name, {**settings, "root": place})

    here = os.path.abspath(root)
    folder = of(here)
    if folder.exists():
        return folder
    below = os.sep + os.path.relpath(next(iter(items[0].streams)), root)
    for other in Path(store).glob(f"{glob.escape(name)}-????????"):
        files = fingerprints.recorded(other)
        roots = (path.removesuffix(below) for path in files if path.endswith(below))
        gone = any(of(place) == other and not os.path.exists(place) for place in roots)
        if gone and fingerprints.is_untouched(other, items):
            return other
    return folder
