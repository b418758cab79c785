"""A share of a corpus' mixtures, which one job of an array makes beside the others.

Shards write files of their own only, so that they need to know nothing of each other. Who finds at
its end that all mixtures are there is the last one, and finishes the corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Task = TypeVar("Task")


@dataclass(frozen=True)
class Shard:
    """One of `count` shards. number: from 1."""

    number: int = 1
    count: int = 1

    @property
    def is_all(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    def __str__(self) -> str:
        """As in the name of a file."""
        return f"{self.number}of{self.count}"

    def named(self, file: str) -> str:
        """A file's name with the shard's in it, as others write theirs: a.3of16.txt."""
        stem, dot, suffix = file.rpartition(".")
        return file if self.is_all else f"{stem}.{self}{dot}{suffix}"

    def of(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Its share; every task is in one shard's."""
        return tasks[self.number - 1 :: self.count]
