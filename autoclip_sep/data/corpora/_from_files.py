"""Corpora that exist as files: look at them first, then decode them into the store.

Whatever can be seen without reading samples is refused before anything is decoded, by one line that
names the path tried, the layout expected and what was found.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autoclip_sep.audio import soundfiles
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.folders import store_folder
from autoclip_sep.data.store.reading import LSB, Item, Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import some


@dataclass(frozen=True)
class FileCorpus(ABC):
    """Settings that every such corpus has.

    root: the folder that the layout starts from. channels and count (sources) are what the files
    must have. store: folder for the store.
    """

    root: str | None = None
    name: str = "files"
    channels: int = 1
    count: int = 2
    store: str = "store"

    def __post_init__(self) -> None:
        check_least(self, channels=1, count=1)

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Of all files, in Hz."""

    @property
    def tolerance(self) -> float | None:
        """LSBs of 16 bits by which a mixture may differ from the sum of its signals; None: any."""
        return None

    @abstractmethod
    def layout(self) -> str:
        """What a root of this corpus holds, for messages."""

    @abstractmethod
    def lacking(self, root: Path) -> list[str]:
        """What a root must have and this one has not; empty where it fits."""

    @abstractmethod
    def items(self, root: Path) -> list[Item]:
        """The mixtures below a root that lacks nothing, split by split.

        Raises InputError for files without their counterpart and for an empty split.
        """

    def settings(self, items: Sequence[Item]) -> dict[str, object]:
        """What the store depends on, beside the files; not on how many should be there."""
        settings = asdict(self) | {"store": None}
        settings.pop("expected", None)
        return settings

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store, made on the first call or where files changed.

        Raises InputError where the root isn't this corpus, and as `conversion.prepare` does.
        """
        root = self._root()
        items = self.items(root)
        first = items[0].signals[0]
        header = _info(first.path) if first.stream is None else None
        if header:
            self._check_channels(first.path, header.channels)
        store = conversion.prepare(
            store_folder(self.store, self.name, self.settings(items), root, items),
            self.sample_rate,
            items,
            tolerance=None if self.tolerance is None else self.tolerance * LSB,
            progress=progress,
        )
        self._check_channels(first.path, store.split("train").channels)
        return store

    def _check_channels(self, path: str | Path, found: int) -> None:
        if found != self.channels:
            raise InputError(f"{path}: {found} channels, data.channels={self.channels}")

    def _root(self) -> Path:
        if not self.root:
            raise InputError(f"data={self.name} needs data.root=FOLDER with {self.layout()}")
        root = Path(self.root)
        lacking = self.lacking(root)
        if not lacking:
            return root
        meant = discovery.near(root, lambda folder: not self.lacking(folder))
        meant = [folder for folder in meant if _rate(folder) == self.sample_rate] or meant
        raise InputError(
            f"data.root={self.root}: not there: {some(lacking)}; expected: {self.layout()};"
            f" found: {discovery.contents(root)}{discovery.did_you_mean('data.root', meant)}"
        )


@dataclass(frozen=True)
class Tree(FileCorpus):
    """A folder for each split.

    splits: what train, valid and test are called in the layout; test may be None. sample_rate: Hz,
    of all files. tolerance: LSBs of 16 bits by which a mixture may differ from the sum of its
    signals, None for any.
    """

    name: str = "tree"
    splits: Mapping[str, str | None] = field(default_factory=dict)
    sample_rate: int = 8000
    tolerance: float | None = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, sample_rate=1)
        named = self.subsets if isinstance(self.splits, Mapping) else {}
        texts = {name for name in named.values() if isinstance(name, str) and name}
        known = {"train", "valid"} <= set(named) <= {"train", "valid", "test"}
        if not known or len(texts) != len(named):
            raise InputError(
                f"data.corpus.splits={self.splits}: expected names for train, valid and test, all"
                " different (test: null where there is none)"
            )
        wrong = isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float)
        if self.tolerance is not None and (wrong or not self.tolerance >= 0):
            raise InputError(
                f"data.corpus.tolerance={self.tolerance}: must be a number from 0, or null"
            )

    @property
    def subsets(self) -> dict[str, str]:
        """What the splits are called, those there are."""
        return {split: name for split, name in self.splits.items() if name is not None}


def check_names_apart(items: Sequence[Item]) -> None:
    """Refuse a name in two splits, for corpora whose names identify the mixture."""
    split_of: dict[str, str] = {}
    for item in items:
        other = split_of.setdefault(item.name, item.split)
        if other != item.split:
            raise InputError(
                f"{item.mixture}: the same mixture is in {other} and in {item.split}; leave it in"
                " one of them"
            )


def _rate(root: Path) -> int | None:
    """The sample rate of some audio file below a root."""
    audio = (name for name in discovery.files(root) if name.endswith((".wav", ".flac")))
    header = next((_info(root / name) for name in audio), None)
    return header.sample_rate if header else None


def _info(path: str | Path) -> soundfiles.AudioInfo | None:
    """None where it can't be read: decoding lists such a file with all others."""
    try:
        return soundfiles.info(path)
    except InputError:
        return None
