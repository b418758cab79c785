"""The protocol of the classes that configs/data names, and a check of their numbers."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError


@runtime_checkable
class Corpus(Protocol):
    """Settings of a corpus, and its reader or generator."""

    @property
    def expected(self) -> Mapping[str, int | None]:
        """Mixtures of each split where that is known. Other numbers are reported, not refused."""

    def layout(self) -> str:
        """What is looked for below data.root, in words."""

    def prepare(self, progress: bool = True) -> Store:
        """The corpus in its store, made on the first call or where files changed.

        Raises InputError where the files aren't the corpus, or can't be used.
        """


@runtime_checkable
class KnowsSpeakers(Protocol):
    """A corpus of speech that can say who speaks: scores are then broken down by it."""

    def speakers_of(self, item: str) -> Sequence[str]:
        """The speaker of each source of a mixture, by its name; empty where that doesn't tell."""

    def genders(self) -> Mapping[str, str]:
        """f or m by speaker, in lower case, of those for whom that is known."""


def check_least(corpus: object, **least: int) -> None:
    """Raises InputError for a setting that isn't an integer, or is below its least."""
    for setting, smallest in least.items():
        value = getattr(corpus, setting)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise InputError(f"data.corpus.{setting}={value}: must be an integer from {smallest}")
