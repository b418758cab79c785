"""LibriMix (Cosentino et al., 2020): a tree read by its own metadata tables.

`metadata/mixture_<subset>_<mixture>.csv` names the files of every mixture by their place on the
machine that made them; here only the last three parts count, such as `dev/s1/<name>.wav`, so that a
tree may be moved. `creation/librimix.py` makes such a tree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from autoclip_sep.data.corpora._from_files import Tree, check_names_apart
from autoclip_sep.data.creation.librimix_metadata import read_mixtures
from autoclip_sep.data.loading.random_speech import LIBRIMIX
from autoclip_sep.data.speakers import found_genders, of_librimix
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from autoclip_sep.names import path_below, some

# Mixtures of the published metadata, by the number of speakers.
PUBLISHED = {
    2: {"train-360": 50800, "train-100": 13900, "dev": 3000, "test": 3000},
    3: {"train-360": 33900, "train-100": 9300, "dev": 3000, "test": 3000},
}


@dataclass(frozen=True)
class LibriMix(Tree):
    """Settings of the corpus, and its reader.

    mixture: mix_clean, mix_both or mix_single; the signals in it are those of its tables. Noise is
    no target.
    """

    content: ClassVar = "read English audiobooks, added up"
    levels: ClassVar = LIBRIMIX
    licence: ClassVar = "CC BY 4.0 (LibriSpeech); noise CC BY-NC 4.0 (WHAM!)"

    splits: Mapping[str, str | None] = field(
        default_factory=lambda: {"train": "train-100", "valid": "dev", "test": "test"}
    )
    mixture: str = "mix_clean"

    @property
    def expected(self) -> dict[str, int | None]:
        """Mixtures of each split as published; None for subsets of one's own."""
        known = PUBLISHED.get(self.count, {})
        return {split: known.get(subset) for split, subset in self.subsets.items()}

    def layout(self) -> str:
        """The tables, and the folders beside them."""
        table = self._table("{subset}")
        subsets = ", ".join(self.subsets.values())
        return f"{table} and the folder {{subset}} where subset is {subsets}, such as a wav8k/min"

    def lacking(self, root: Path) -> list[str]:
        """Tables and folders that aren't there."""
        tables = [self._table(subset) for subset in self.subsets.values()]
        lacking = [table for table in tables if not (root / table).is_file()]
        return lacking + [name for name in self.subsets.values() if not (root / name).is_dir()]

    def items(self, root: Path) -> list[Item]:
        """The mixtures in the tables' order, each with its files.

        Raises InputError for a table that can't be read, files that are missing, and a mixture in
        two splits.
        """
        found = []
        for split, subset in self.subsets.items():
            table = root / self._table(subset)
            rows = read_mixtures(table, ("mixture_path", "source_1_path"))
            there = rows[0][1]
            columns = [f"source_{n}_path" for n in range(1, len(there))]
            targets = [column for column in columns if column in there]
            if len(targets) != self.count:
                raise InputError(f"{table}: {len(targets)} sources, data.sources={self.count}")
            noise = [column for column in ("noise_path",) if column in there]
            for number, row in rows:
                named = [row[column] for column in ("mixture_path", *targets, *noise)]
                paths = [_below(root, path, f"{table}, line {number}") for path in named]
                signals = (Signal(path, n < self.count) for n, path in enumerate(paths[1:]))
                found.append(Item(row["mixture_ID"], split, tuple(signals), paths[0]))
        check_names_apart(found)
        _check_present(root, found)
        return found

    def speakers_of(self, item: str) -> tuple[str, ...]:
        """Those of LibriMix's names."""
        return of_librimix(item)[: self.count]

    def genders(self) -> Mapping[str, str]:
        """Those of LibriSpeech's SPEAKERS.TXT, at the root or above it."""
        return found_genders(self.root)

    def _table(self, subset: str) -> str:
        return f"metadata/mixture_{subset}_{self.mixture}.csv"


def _below(root: Path, path: str, where: str) -> str:
    """Where a path of the maker's machine lies below our root."""
    own = "/".join(re.split(r"[/\\]+", path)[-3:])
    return f"{root}/{path_below(own, where)}"


def _check_present(root: Path, items: Sequence[Item]) -> None:
    """Every file of the tables is there; folders are read once rather than files one by one."""
    paths = [str(p) for item in items for p in (item.mixture, *(s.path for s in item.signals)) if p]
    there: dict[Path, set[str]] = {}
    missing = []
    for path in map(Path, paths):
        if path.parent not in there:
            names = path.parent.iterdir() if path.parent.is_dir() else ()
            there[path.parent] = {name.name for name in names}
        if path.name not in there[path.parent]:
            missing.append(str(path.relative_to(root)))
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(paths)} files that its metadata names are missing:"
            f" {some(missing)}"
        )
