"""Where the store of a corpus that exists as files lies, also where the corpus has moved since."""

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoclip_sep.data import fingerprints
from autoclip_sep.data.mixed_speech import folder_for
from autoclip_sep.data.store import Item


def store_folder(
    store: str, name: str, settings: Mapping[str, object], root: Path, items: Sequence[Item]
) -> Path:
    """`<store>/<name>-<hash of settings and root>`, for this root or for the one before a move.

    Before: the same files, by their sizes and times, lay below a root that is gone, and the
    settings were the same. Two roots that are there don't share a store: one of them may change.
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
