"""Which estimate is of which reference: items and sources that two folders have in common.

Whatever is left out has a line in the notes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.estimates.layouts import Folder
from autoclip_sep.names import shown, some

Places = Mapping[str, Path]


@dataclass(frozen=True)
class ItemFiles:
    """Those of one item. references, estimates: of each source, in the same order.

    others: references that nothing estimates, but that are in the mixture. mixture: None where it
    is the sum of all references, or unknown because there is one alone.
    """

    name: str
    references: tuple[Path, ...]
    estimates: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    mixture: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, the first reference first."""
        mixture = () if self.mixture is None else (self.mixture,)
        return (*self.references, *self.others, *mixture, *self.estimates)


@dataclass(frozen=True)
class Matched:
    """What can be scored. sources: their names, or numbers from 1.

    permute: whether it is to be found out which estimate is of which source. notes: of what was
    found and what is left out, by a word each.
    """

    items: tuple[ItemFiles, ...]
    sources: tuple[str, ...]
    permute: bool
    notes: tuple[tuple[str, str], ...]


def match(estimates: Folder, references: Folder, mixtures: Folder | None = None) -> Matched:
    """The items and sources that estimates and references have in common.

    Items are the same by the last part of their names where that tells them apart in each folder,
    else by all of it: estimates of `a` are of the reference `tt/a`. Sources are the same by name;
    numbers aren't names, and without names in common there must be as many on both sides.
    Raises InputError where nothing can be scored, or not told which belong together.
    """
    ours, theirs, permute = _sources(estimates, references)
    others = [source for source in references.sources if source not in theirs]
    same = _same(estimates.items, references.items)
    if not same:
        raise InputError(
            f"{estimates.root} and {references.root} have no item in common: estimates are of"
            f" {_some(estimates.items)}, references of {_some(references.items)}"
        )
    whole = {
        name: own for name, own in same.items()
        if {*theirs, *others} <= references.items[name].keys()
        and set(ours) <= estimates.items[own].keys()
    }  # fmt: skip
    if not whole:
        raise InputError(
            f"{estimates.root} and {references.root}: no item has all of its sources: estimates of"
            f" {', '.join(ours)}, references of {', '.join([*theirs, *others])}"
        )
    _check_apart(estimates, references, next(iter(whole.items())))
    found, said = _mixtures(mixtures, references, list(whole), [*theirs, *others])
    names = _names(list(whole), estimates.root.absolute().name)
    items = tuple(
        ItemFiles(
            names[name],
            tuple(references.items[name][source] for source in theirs),
            tuple(estimates.items[own][source] for source in ours),
            tuple(references.items[name][source] for source in others),
            found.get(name),
        )
        for name, own in whole.items()
    )
    notes = [
        ("estimates", _described(estimates)),
        ("references", _described(references)),
        ("mixtures", said),
        ("scored", f"{len(items)} items, sources {_paired(ours, theirs, permute)}"),
        *_left_out(estimates, references, same, whole, (ours, theirs)),
    ]
    numbered = all(source.isdecimal() for source in theirs)
    sources = [str(n + 1) if numbered else source for n, source in enumerate(theirs)]
    return Matched(items, tuple(sources), permute, tuple(notes))


def _sources(estimates: Folder, references: Folder) -> tuple[list[str], list[str], bool]:
    """The sources to score as estimates and as references call them, and whether to permute."""
    ours, theirs = estimates.sources, references.sources
    named = [name for name in theirs if name in ours and not name.isdecimal()]
    if named and not any(source.isdecimal() for source in ours):
        return named, named, False
    # Beside s1 and s2 noise is no third source.
    ours, theirs = _numbered(ours), _numbered(theirs)
    if len(ours) != len(theirs):
        raise InputError(
            f"{estimates.root} has sources {', '.join(ours)}, {references.root} has"
            f" {', '.join(theirs)}: without names in common, their numbers must be equal;"
            " names=[NAME,...] says what files are called"
        )
    return ours, theirs, len(theirs) > 1


def _check_apart(estimates: Folder, references: Folder, item: tuple[str, str]) -> None:
    """Refuse references that are taken for estimates of themselves."""
    name, own = item
    if set(references.items[name].values()) & set(estimates.items[own].values()):
        raise InputError(
            f"{estimates.root}: the same files would be estimates and references: estimates beside"
            " references end in _estimate or hat, as in s1_estimate.wav"
        )


def _numbered(sources: Sequence[str]) -> list[str]:
    """Those with a number, or all where none has one."""
    return [source for source in sources if source.isdecimal()] or list(sources)


def _same(others: Collection[str], names: Collection[str]) -> dict[str, str]:
    """The item of the same name for each one that has it."""
    apart = all(len(set(map(_last, many))) == len(many) for many in (others, names))
    by_key = {_last(other) if apart else other: other for other in others}
    keys = {name: _last(name) if apart else name for name in names}
    return {name: by_key[key] for name, key in keys.items() if key in by_key}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _mixtures(
    given: Folder | None, references: Folder, names: Sequence[str], summed: Sequence[str]
) -> tuple[dict[str, Path], str]:
    """The mixture's file of each item, if there are files, and a line about them.

    summed: the references of an item, which otherwise add up to its mixture.
    """
    folder = given or references
    if len(folder.mixtures) > 1:
        kinds = sorted(folder.mixtures)
        raise InputError(
            f"{folder.root} has {' and '.join(kinds)}: say which was separated, by"
            f" mixtures=FOLDER with one of them"
        )
    of_kind = next(iter(folder.mixtures.values()), {})
    same = _same(of_kind, names) if given else {name: name for name in names if name in of_kind}
    if len(same) == len(names):
        found = {name: of_kind[own] for name, own in same.items()}
        return found, f"{shown(str(folder.root))}: {next(iter(folder.mixtures))}"
    without = [name for name in names if name not in same]
    if given:
        raise InputError(
            f"{given.root} has no mixture of {len(without)} of {len(names)} items: {_some(without)}"
        )
    lack = f"not there for {len(without)} of {len(names)} items"
    if len(summed) > 1:
        return {}, f"{lack}: taken to be the sums of the references {', '.join(summed)}"
    return {}, f"{lack}: improvements over them are left out"


def _names(items: Sequence[str], root: str) -> dict[str, str]:
    """What items are called in tables; an item that is its whole folder, like the folder.

    Raises InputError where two would be called the same: one would get the other's scores.
    """
    apart = len({_last(name) for name in items}) == len(items)
    names = {name: shown((_last(name) if apart else name) or root) for name in items}
    if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
        raise InputError(f"two items would both be called {twice[0]} in tables: rename one")
    return names


def _described(folder: Folder) -> str:
    return f"{shown(str(folder.root))}: {len(folder.items)} items, {folder.layout}"


def _paired(ours: Sequence[str], theirs: Sequence[str], permute: bool) -> str:
    if permute:
        return f"{', '.join(ours)}, in each item in the order closest to {', '.join(theirs)}"
    return ", ".join(theirs)


def _left_out(
    estimates: Folder, references: Folder, same: Mapping[str, str], whole: Collection[str],
    sources: tuple[Sequence[str], Sequence[str]],
) -> list[tuple[str, str]]:  # fmt: skip
    """A line for each kind of thing that isn't scored."""
    own = set(same.values())
    ours, theirs = sources
    used = {p for one in (estimates, references) for files in one.items.values()
            for p in files.values()}  # fmt: skip
    kinds = {
        "items without estimates": [name for name in references.items if name not in same],
        "items without references": [name for name in estimates.items if name not in own],
        "items that lack a source": [name for name in same if name not in whole],
        "references that aren't scored, but are in the mixtures": [
            source for source in references.sources if source not in theirs
        ],
        "estimates that aren't scored": [s for s in estimates.sources if s not in ours],
        **{f"other files below {shown(str(folder.root))}": [
            path.relative_to(folder.root).as_posix() for path in folder.others if path not in used
        ] for folder in (estimates, references)},
    }  # fmt: skip
    return [
        ("left out", f"{kind} ({len(what)}): {_some(what)}") for kind, what in kinds.items() if what
    ]


def _some(names: Collection[str]) -> str:
    return some([name or "." for name in names]) or "none"
