"""Corpora that exist as trees with one file for each mixture and each of its signals.

WSJ0-mix and WHAM! as published (Hershey et al., 2016; Wichern et al., 2019), and trees of one's
own: a layout is a pattern for the mixtures and one for each signal.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora._from_files import Tree, check_names_apart
from autoclip_sep.data.speakers import found_genders, of_wsj0_mix
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from autoclip_sep.names import some


@dataclass(frozen=True)
class MixtureTree(Tree):
    """Settings of the corpus, and its reader.

    mixture, sources, noise: patterns of paths below the root, with {split} and {item} in them.
    {item} stands for any text, folders included, and is the mixture's name. sources are what is to
    be estimated, in this order; noise is in the mixtures, too, and is not. unique_names: whether
    the same name in two splits means the same mixture. expected: mixtures of each split, None or
    left out where that isn't known.
    """

    placeholders: ClassVar[frozenset[str]] = frozenset({"{split}", "{item}"})

    splits: Mapping[str, str | None] = field(
        default_factory=lambda: {"train": "tr", "valid": "cv", "test": "tt"}
    )
    mixture: str = "{split}/mix/{item}.wav"
    sources: Sequence[str] = ("{split}/s1/{item}.wav", "{split}/s2/{item}.wav")
    noise: Sequence[str] = ()
    unique_names: bool = False
    expected: Mapping[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_expected(self.expected)
        self._check_pattern("mixture", self.mixture)
        for key, patterns in (("sources", self.sources), ("noise", self.noise)):
            if isinstance(patterns, str) or not isinstance(patterns, Sequence):
                raise InputError(f"data.corpus.{key}={patterns}: must be a list of patterns")
            for pattern in patterns:
                self._check_pattern(key, pattern)
        if len(self.sources) != self.count:
            raise InputError(
                f"data.corpus.sources: {len(self.sources)} patterns, data.sources={self.count}"
            )
        if len(set(self.patterns())) < len(self.patterns()):
            raise InputError(
                "data.corpus: two of the patterns mixture, sources, noise are the same"
            )

    def patterns(self, split: str = "{split}") -> list[str]:
        """Of the mixtures, then of their signals, for what a split is called."""
        patterns = (self.mixture, *self.sources, *self.noise)
        return [pattern.replace("{split}", split) for pattern in patterns]

    def layout(self) -> str:
        """All patterns, and what stands for {split}."""
        patterns, subsets = ", ".join(self.patterns()), ", ".join(self.subsets.values())
        return f"{patterns} where split is {subsets}" if "{split}" in patterns else patterns

    def lacking(self, root: Path) -> list[str]:
        """Folders of the patterns that aren't there."""
        folders = [folder_of(p) for split in self.subsets.values() for p in self.patterns(split)]
        return [folder for folder in dict.fromkeys(folders) if not (root / folder).is_dir()]

    def items(self, root: Path) -> list[Item]:
        """The mixtures in the order of their names, each with its files.

        Raises InputError for a split without mixtures, files without their counterpart, and a name
        in two splits where names are unique.
        """
        found = []
        for split, folder in self.subsets.items():
            names = self._names(root, self.patterns(folder), f" for {split}")
            found += [self._item(root, name, split, self.patterns(folder)) for name in names]
        if self.unique_names:
            check_names_apart(found)
        return found

    def speakers_of(self, item: str) -> tuple[str, ...]:
        """Of the first signals, where the mixtures have WSJ0-mix's names."""
        return of_wsj0_mix(item)[: self.count]

    def genders(self) -> Mapping[str, str]:
        """Those of WSJ0's spkrinfo.txt, at the root or above it."""
        return found_genders(self.root)

    def _names(self, root: Path, patterns: Sequence[str], what: str = "") -> list[str]:
        """The mixtures, each with a file of every signal. what: they are, for a message."""
        mixture, *signals = patterns
        names = _names(root, mixture)
        if not names:
            where = root / folder_of(mixture)
            raise InputError(
                f"{where}: no files {mixture}{what}; found: {discovery.contents(where)}"
            )
        for pattern in signals:
            _check_counterparts(root, mixture, names, pattern)
        return names

    def _item(self, root: Path, name: str, split: str, patterns: Sequence[str]) -> Item:
        mixture, *files = (f"{root}/{pattern.replace('{item}', name)}" for pattern in patterns)
        signals = tuple(Signal(file, number < self.count) for number, file in enumerate(files))
        return Item(name, split, signals, mixture)

    def _check_pattern(self, key: str, pattern: object) -> None:
        held = set(re.findall(r"\{[^{}]*\}", pattern)) if isinstance(pattern, str) else set()
        if held != self.placeholders:
            needed = " and ".join(sorted(self.placeholders, reverse=True))
            folder = "{split}/" if "{split}" in self.placeholders else ""
            raise InputError(
                f"data.corpus.{key}: {pattern}: must be a path below data.root with {needed} in it,"
                f" such as {folder}mix/{{item}}.wav"
            )


def _check_expected(expected: object) -> None:
    numbers = dict(expected) if isinstance(expected, Mapping) else {"": -1}
    whole = all(n is None or (type(n) is int and n >= 0) for n in numbers.values())
    if not whole or not set(numbers) <= {"train", "valid", "test"}:
        raise InputError(
            f"data.corpus.expected={expected}: must be numbers of mixtures for train, valid and"
            " test, null where one isn't known"
        )


def folder_of(pattern: str) -> str:
    """The folder of a pattern whose split is known: all before the one that {item} begins in."""
    return pattern.partition("{item}")[0].rpartition("/")[0]


def _names(root: Path, pattern: str) -> list[str]:
    """What {item} is in the files that are there, sorted."""
    folder = folder_of(pattern)
    first, *others = map(re.escape, pattern[len(folder) :].lstrip("/").split("{item}"))
    form = re.compile(first + "(?P<item>.+)" + "(?P=item)".join(others), re.DOTALL)
    matches = (form.fullmatch(name) for name in discovery.files(root / folder))
    return sorted(match["item"] for match in matches if match)


def _check_counterparts(root: Path, mixture: str, names: Sequence[str], pattern: str) -> None:
    """Every mixture has its file of a signal, and every such file its mixture."""
    others = set(_names(root, pattern))
    for held, lacking, one, other in (
        (names, others, mixture, pattern),
        (sorted(others), set(names), pattern, mixture),
    ):
        alone = [name for name in held if name not in lacking]
        if alone:
            raise InputError(
                f"{root}: {len(alone)} of {len(held)} files {one} have no counterpart {other}:"
                f" {some(alone)}"
            )
