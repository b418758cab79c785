"""What the readers of corpora that exist as files have in common: look first, then make the store.

Whatever can be seen without reading samples is refused before anything is converted, by one line
that names the path tried, the layout wanted and what was found.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autoclip_sep.audio import soundfiles
from autoclip_sep.data import _channels as channels
from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data.corpora.base import check_least
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.folders import store_folder
from autoclip_sep.data.store.reading import LSB, Item, Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import some


@dataclass(frozen=True)
class Tree(ABC):
    """Settings that every reader has.

    root: the folder that the layout starts from. splits: what train, valid and test are called in
    it; test may be None. sample_rate in Hz, channels and count (sources) are what the files must
    have. tolerance: LSBs of 16 bits by which a mixture may differ from the sum of its signals, None
    for any. store: folder for the store.
    """

    root: str | None = None
    name: str = "tree"
    splits: Mapping[str, str | None] = field(default_factory=dict)
    sample_rate: int = 8000
    channels: int = 1
    count: int = 2
    tolerance: float | None = 2.0
    store: str = "store"

    def __post_init__(self) -> None:
        check_least(self, sample_rate=1, channels=1, count=1)
        self._check_splits()
        wrong = isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float)
        if self.tolerance is not None and (wrong or not self.tolerance >= 0):
            raise InputError(
                f"data.corpus.tolerance={self.tolerance}: 0 or more, or null, is wanted"
            )

    @property
    def subsets(self) -> dict[str, str]:
        """What the splits are called, those there are."""
        return {split: name for split, name in self.splits.items() if name is not None}

    @abstractmethod
    def layout(self) -> str:
        """What a root of this corpus holds, for messages."""

    @abstractmethod
    def lacking(self, root: Path) -> list[str]:
        """Folders and files that a root must have and this one has not; empty where it fits."""

    @abstractmethod
    def items(self, root: Path) -> list[Item]:
        """The mixtures below a root that lacks nothing, split by split.

        Raises InputError for files without their counterpart and for an empty split.
        """

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store, made on the first call or where files changed.

        Raises InputError where the root isn't this corpus, and as `conversion.prepare` does.
        """
        root = self._root()
        items = self.items(root)
        channels.check_file(items[0].signals[0].path, self.channels)
        settings = asdict(self) | {"store": None}
        settings.pop("expected", None)  # what should be there makes no other corpus
        return conversion.prepare(
            store_folder(self.store, self.name, settings, root, items),
            self.sample_rate,
            items,
            tolerance=None if self.tolerance is None else self.tolerance * LSB,
            progress=progress,
        )

    def _check_splits(self) -> None:
        """A name for train and for valid, for test if there is one, each another one."""
        named = self.subsets if isinstance(self.splits, Mapping) else {}
        texts = {name for name in named.values() if isinstance(name, str) and name}
        known = {"train", "valid"} <= set(named) <= {"train", "valid", "test"}
        if not known or len(texts) != len(named):
            raise InputError(
                f"data.corpus.splits={self.splits}: names for train, valid and test are wanted, all"
                " different (test: null where there is none)"
            )

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
            f"data.root={self.root}: not there: {some(lacking)}; wanted: {self.layout()};"
            f" found: {discovery.contents(root)}{discovery.did_you_mean('data.root', meant)}"
        )


def check_names_apart(items: Sequence[Item]) -> None:
    """Refuse a name in two splits, for corpora whose names tell what is in the mixture."""
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
    for name in discovery.files(root):
        if name.endswith((".wav", ".flac")):
            try:
                return soundfiles.info(root / name).sample_rate
            except InputError:
                return None
    return None
