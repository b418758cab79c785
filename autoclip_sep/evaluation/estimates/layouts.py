"""Folders of estimates and references in the layouts that separation tools write.

A path tells an item and its source in one of three ways, the same in a whole folder:

    <source>/<item>   WSJ0-mix, WHAM!, LibriMix: s1/a.wav, s2/a.wav, mix_clean/a.wav
    <item>/<source>   MUSDB18-HQ, museval, open-unmix, demucs: song/vocals.wav, song/mixture.wav;
                      asteroid's examples: ex_0/s0_estimate.wav, ex_0/s0.wav; separate.py
    <item>_<source>   speechbrain: item0_source1hat.wav, item0_source1.wav, item0_mix.wav;
                      asteroid-infer: a_est1.wav

Where most files tell none, each is an item of one source, such as enhanced speech.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autoclip_sep.audio.info import SUFFIXES
from autoclip_sep.errors import InputError

SOUNDS = SUFFIXES - {".mp4", ".webm"}  # videos, or stems of which only the mixture would be read

# What sources are called where they aren't numbered, in the order of tables.
NAMES = (
    "vocals", "drums", "bass", "guitar", "piano", "other", "accompaniment", "speech", "music",
    "sfx", "effects", "noise",
)  # fmt: skip

Kind = Literal["source", "estimate", "mixture"]


@dataclass
class Folder:
    """What is in a folder.

    items: files by item and source; the latter is a name in small letters, or a number. mixtures:
    files by kind (mix_clean, mix_both, ...) and item. others: files that tell none of these, and of
    estimates beside references those that weren't asked for. layout: in words.
    """

    root: Path
    layout: str
    items: dict[str, dict[str, Path]] = field(default_factory=dict)
    mixtures: dict[str, dict[str, Path]] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """Of all items, in the order of tables; numbers come last."""
        found = {source for sources in self.items.values() for source in sources}
        place = {name: n for n, name in enumerate(NAMES)}
        return sorted(found, key=lambda s: (s.isdecimal(), place.get(s, -1), s.zfill(9)))


@dataclass(frozen=True)
class _Role:
    """What a file is; name: the source's, or the kind of mixture."""

    item: str
    kind: Kind
    name: str


Roles = dict[Path, _Role | None]


def read(root: Path, names: Sequence[str], wanted: Kind) -> Folder:
    """The audio files below a folder, hidden ones left out.

    names: of sources, beside `NAMES`. wanted: what to take as sources where estimates lie beside
    references; mixtures are found in any case.
    Raises InputError where there are no such files, for two files of the same source, and where two
    layouts fit equally well.
    """
    paths = list(_audio_files(root))
    if not paths:
        raise InputError(f"{root}: {'no audio files' if root.is_dir() else 'no such folder'}")
    layout, roles = _likeliest(_told(root, paths, _word([*names, *NAMES])), wanted)
    folder = Folder(root, layout)
    if not roles:
        roles = {path: _Role("/".join(_parts(root, path)), wanted, "1") for path in paths}
    elif wanted == "estimate" and all(r is None or r.kind != "estimate" for r in roles.values()):
        wanted = "source"
    for path, role in roles.items():
        if role is not None and role.kind == "mixture":
            _put(folder.mixtures.setdefault(role.name, {}), role.item, path)
        elif role is not None and role.kind == wanted:
            _put(folder.items.setdefault(role.item, {}), role.name, path)
        else:
            folder.others.append(path)
    return folder


def _likeliest(ways: Iterable[tuple[str, Roles]], wanted: Kind) -> tuple[str, Roles]:
    """The way in which most files tell what they are, and its name; without any where few do.

    Of equals that in which all items have the same sources, then the most: `other/vocals.wav` and
    `other/drums.wav` are of a song that is called other.
    """
    layout, roles, best = "<item>", Roles(), (0, False, 0)
    for way, found in ways:
        told = [role for role in found.values() if role]
        useless = wanted == "mixture" and all(role.kind != "mixture" for role in told)
        if useless or len(told) <= (len(found) - 1) // 2:
            continue
        sources: dict[str, set[str]] = {}
        for role in told:
            if role.kind != "mixture":
                sources.setdefault(role.item, set()).add(role.name)
        every = set[str]().union(*sources.values())
        fit = len(told), all(own == every for own in sources.values()), len(every)
        if fit > best:
            layout, roles, best = way, found, fit
        elif fit == best and wanted != "mixture" and found != roles:
            path = next(path for path in found if found[path] != roles[path])
            raise InputError(f"{path}: is that {layout} or {way}? Rename the folder, or the files")
    return layout, roles


def _put(places: dict[str, Path], key: str, path: Path) -> None:
    other = places.setdefault(key, path)
    if other != path:
        raise InputError(f"{other} and {path}: which of the two?")


def _told(root: Path, paths: Sequence[Path], word: re.Pattern[str]) -> Iterator[tuple[str, Roles]]:
    """The three ways of a layout, with what each file would be."""
    ending = re.compile(rf"(?P<item>.+?)[_-]+(?:{word.pattern})", word.flags | re.DOTALL)
    ways: dict[str, Roles] = {
        "<source>/<item>": {}, "<item>/<source>": {}, "<item>_<source>": {},
    }  # fmt: skip
    in_folder, in_file, at_end = ways.values()
    for path in paths:
        *folders, stem = _parts(root, path)
        above = "/".join(folders)
        in_folder[path] = None
        for n, name in enumerate(folders):  # the last folder that tells
            if found := word.fullmatch(name):
                rest = "/".join([*folders[:n], *folders[n + 1 :], stem])
                in_folder[path] = _role(rest, found)
        in_file[path] = _role(above, found) if (found := word.fullmatch(stem)) else None
        found = ending.fullmatch(stem)
        at_end[path] = _role("/".join([*folders, found["item"]]), found) if found else None
    yield from ways.items()


def _role(item: str, found: re.Match[str]) -> _Role:
    if found["mixture"]:
        return _Role(item, "mixture", found["mixture"].lower())
    name = found["name"] or str(int(found["number"] or found["estimate"]))
    return _Role(item, "estimate" if found["mark"] or found["estimate"] else "source", name.lower())


def _word(names: Sequence[str]) -> re.Pattern[str]:
    """What names a source, an estimate of one, or a mixture."""
    known = "|".join(map(re.escape, filter(None, names)))
    return re.compile(
        r"(?P<mixture>mix(?:ture)?(?:[_-](?:clean|both|single|noisy|anechoic|reverb))*)"
        rf"|(?:(?P<name>{known})|(?:s|spk|speaker|source|src)[_-]?(?P<number>\d+))"
        r"(?P<mark>[_-]?(?:hat|est|estimate|estimated))?"
        r"|(?:est|estimate)[_-]?(?P<estimate>\d+)",
        re.IGNORECASE,
    )


def _parts(root: Path, path: Path) -> tuple[str, ...]:
    return path.relative_to(root).with_suffix("").parts


def _audio_files(root: Path) -> Iterator[Path]:
    """In a fixed order; links to folders are followed, but not in circles."""
    seen = set()
    for base, folders, files in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(base))
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(base, name)) not in seen
        )  # fmt: skip
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SOUNDS:
                yield Path(base, name)
