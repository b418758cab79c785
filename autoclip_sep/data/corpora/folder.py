"""A folder of mixtures and their signals that nobody has split: the splits are drawn by a seed."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from autoclip_sep.data.corpora.tree import MixtureTree
from autoclip_sep.data.store.reading import Item
from autoclip_sep.errors import InputError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class MixtureFolder(MixtureTree):
    """Settings of the corpus, and its reader.

    mixture, sources, noise: patterns of paths below the root, with {item} in them. shares: of the
    mixtures in train, valid and test; each is drawn with the rest of its group. together: a regular
    expression: mixtures whose names match it with the same text (that of its first parentheses, if
    it has any) are a group, such as those of one song or speaker. None: mixtures in the same folder
    are, where {item} has folders in it, and all others stand alone.
    """

    placeholders: ClassVar[frozenset[str]] = frozenset({"{item}"})

    mixture: str = "mix/{item}.wav"
    sources: Sequence[str] = ("s1/{item}.wav", "s2/{item}.wav")
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"train": 0.8, "valid": 0.1, "test": 0.1}
    )
    together: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = dict(self.shares) if isinstance(self.shares, Mapping) else {}
        numbers = [float(share) for share in shares.values() if isinstance(share, int | float)]
        if set(shares) != set(SPLITS) or len(numbers) != 3 or not all(n >= 0 for n in numbers):
            raise InputError(
                f"data.corpus.shares={self.shares}: must be numbers from 0 for train, valid and"
                " test"
            )
        if not (shares["train"] and shares["valid"]):
            raise InputError(f"data.corpus.shares={self.shares}: train and valid must be above 0")
        try:
            re.compile(self.together or "")
        except re.error as error:
            raise InputError(f"data.corpus.together={self.together}: {error}") from error

    def items(self, root: Path) -> list[Item]:
        """The mixtures split by split, in the order of their names.

        Raises InputError where there are none, for files without their counterpart, and where
        there are too few groups for all splits.
        """
        split_of = self._drawn(self._names(root, self.patterns()))
        return [
            self._item(root, name, split, self.patterns())
            for split in SPLITS
            for name in sorted(name for name, own in split_of.items() if own == split)
        ]

    def _drawn(self, names: Sequence[str]) -> dict[str, str]:
        """Each mixture's split: groups in an order that the seed draws fill one after the other.

        A group's place depends on its name and the seed alone, so that a corpus that grows keeps
        most mixtures where they were.
        """
        if self.together and not any(re.search(self.together, name) for name in names):
            raise InputError(
                f"data.corpus.together={self.together} matches no name, such as {names[0]}"
            )
        groups = defaultdict(list)
        for name in names:
            groups[self._group(name)].append(name)
        order = sorted(groups, key=lambda group: _digest(f"{self.seed}/{group}"))
        sizes = np.array([len(groups[group]) for group in order])
        whole = sum(self.shares.values())
        ends = np.cumsum([self.shares[split] / whole * len(names) for split in SPLITS])
        # A group goes where its middle lies: half of it may reach over the end of the split.
        places = np.searchsorted(ends + 1e-9, np.cumsum(sizes) - sizes / 2)
        self._check_filled(set(places.tolist()), len(names), len(groups))
        return {
            name: SPLITS[place]
            for group, place in zip(order, places, strict=True)
            for name in groups[group]
        }

    def _check_filled(self, filled: set[int], mixtures: int, groups: int) -> None:
        """Raises InputError where a split has a share and no mixtures."""
        shares = [self.shares[split] for split in SPLITS]
        empty = [n for n, share in enumerate(shares) if share > 0 and n not in filled]
        if not empty:
            return
        found = f"{mixtures} mixtures in {groups} groups leave {SPLITS[empty[0]]} empty"
        smaller = "or make smaller groups with data.corpus.together"
        if groups < np.count_nonzero(shares):
            fewer = "leave the test set out (data.corpus.shares.test=0), " if shares[2] else ""
            raise InputError(f"{found}: add mixtures, {fewer}{smaller}")
        least = f"data.corpus.shares.{SPLITS[empty[0]]}={sum(shares) / groups:.2g}"
        raise InputError(f"{found}: set {least} or more, try another data.corpus.seed, {smaller}")

    def _group(self, name: str) -> str:
        if self.together is None:
            return name.rpartition("/")[0] or name
        found = re.search(self.together, name)
        return next(iter(found.groups()), found[0]) or name if found else name


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
