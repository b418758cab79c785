"""Finds the utterances of WSJ0, however the discs were copied.

`wsj0/si_tr_s/01t/01to030v.wav` of a list may be `11-1.1/wsj0/si_tr_s/...` of one of many discs, or
`si_tr_s/...` of discs merged, in upper or lower case, as SPHERE (.wv1, .sph), WAV or FLAC. The
second microphone (.wv2) is another recording and never taken.
"""

import filecmp
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data import _refusal as refusal
from autoclip_sep.errors import InputError
from autoclip_sep.names import some
from autoclip_sep.parallel import in_parallel

# Of several files with the same samples the first is taken: the one that is fastest to read.
EXTENSIONS = (".wav", ".flac", ".sph", ".wv1")
Found = dict[str, list[str]]


def locate(
    root: Path,
    utterances: Sequence[str],
    report: Path,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> dict[str, str]:
    """The file of each utterance of the lists, below `root`.

    Raises InputError if some are missing, or are there twice with different samples. report: the
    folder for a list of them, where it is long.
    """
    if not root.is_dir():
        raise InputError(
            f"wsj0={root}: {discovery.contents(root)}; must be the folder of the corpus"
        )
    keys = {utterance: _key(PurePosixPath(utterance).parts) for utterance in utterances}
    found = _find(root, set(keys.values()))
    missing = [utterance for utterance, key in keys.items() if key not in found]
    refusal.refuse(missing, _what_is_missing(root, keys, missing), report)
    several = [paths for paths in found.values() if len(paths) > 1]
    differing = in_parallel(compare, several, label="duplicates", jobs=jobs, progress=progress)
    what = f"of {len(keys)} utterances are there twice below {root}, and not the same"
    refusal.refuse(list(filter(None, differing)), what, report)
    return {utterance: found[key][0] for utterance, key in keys.items()}


def compare(paths: Sequence[str]) -> str:
    """What is wrong with files that should hold the same samples, or "" (task)."""
    first, *others = paths
    for other in others:
        if filecmp.cmp(first, other, shallow=False):
            continue
        try:
            (one, rate), (two, other_rate) = (soundfiles.read(path) for path in (first, other))
        except InputError as error:
            return str(error)
        if rate != other_rate or not np.array_equal(one, two):
            return f"{first} and {other}"
    return ""


def _key(parts: Sequence[str]) -> str:
    """A path without `wsj0` in front and without its extension, in lower case."""
    lower = [part.lower() for part in parts]
    *above, name = lower[1:] if lower[0] == "wsj0" and len(lower) > 1 else lower
    return "/".join([*above, os.path.splitext(name)[0]])


def _find(root: Path, keys: set[str]) -> Found:
    """The files whose paths end in one of the keys, the preferred one first."""
    depths = {key.count("/") for key in keys}
    found: Found = {}
    for folder, names in _folders(root):
        above = folder.lower().split(os.sep)
        prefixes = {"/".join([*above[max(len(above) - n, 0) :], ""]) for n in depths}
        for name in names:
            stem, extension = os.path.splitext(name.lower())
            if extension in EXTENSIONS:
                for prefix in prefixes:
                    if prefix + stem in keys:
                        found.setdefault(prefix + stem, []).append(os.path.join(folder, name))
    for paths in found.values():
        paths.sort(key=lambda path: (EXTENSIONS.index(os.path.splitext(path.lower())[1]), path))
    return found


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """All folders below root and the files in them; links are followed, no folder seen twice."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: can't be read ({error.strerror})") from error

    seen = set()
    for folder, inner, names in os.walk(os.path.abspath(root), onerror=refuse, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            inner.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        inner.sort()
        yield folder, sorted(names)


def _what_is_missing(root: Path, keys: Mapping[str, str], missing: Sequence[str]) -> str:
    """How many of which folder, and where they were searched."""
    listed = Counter(key.partition("/")[0] for key in keys.values())
    lost = Counter(keys[utterance].partition("/")[0] for utterance in missing)
    parts = some([f"{number} of {listed[part]} in {part}" for part, number in lost.items()], 8)
    return (
        f"of {len(keys)} utterances of the lists ({parts}) aren't in any folder below wsj0={root},"
        f" as {', '.join(EXTENSIONS)} in upper or lower case"
    )
