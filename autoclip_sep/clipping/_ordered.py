"""Numbers in order of size, in blocks: an insertion among a million costs no more than any other.

In one packed array the 4 MB that it moves then would take longer than all else in the clip of a
small network's gradients.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import itemgetter

_BLOCK = 8192  # numbers, at most
_last = itemgetter(-1)


class Ordered:
    """Floats in ascending order, as blocks of packed float64, none of them empty.

    An insertion or a removal is a binary search among the blocks' last numbers and one within a
    block, and moves 64 KiB at most. A look-up by place walks along the blocks.

    ascending: the numbers to start with.
    """

    def __init__(self, ascending: Iterable[float] = ()) -> None:
        numbers, size = array("d", ascending), _BLOCK // 2  # half full: there is room
        self._blocks = [numbers[start : start + size] for start in range(0, len(numbers), size)]

    def insert(self, number: float) -> None:
        """Puts a number, not NaN, into its place."""
        if not self._blocks:
            self._blocks.append(array("d", [number]))
            return
        index = min(bisect_left(self._blocks, number, key=_last), len(self._blocks) - 1)
        block = self._blocks[index]
        insort(block, number)
        if len(block) > _BLOCK:
            self._blocks.insert(index + 1, block[_BLOCK // 2 :])
            del block[_BLOCK // 2 :]

    def remove(self, number: float) -> None:
        """Takes out one that is there."""
        index = bisect_left(self._blocks, number, key=_last)
        block = self._blocks[index]
        del block[bisect_left(block, number)]
        if not block:
            del self._blocks[index]

    def __getitem__(self, place: int) -> float:
        """The number at a place, from 0 for the smallest; raises IndexError beyond the last."""
        for block in self._blocks:
            if place < len(block):
                return block[place]
            place -= len(block)
        raise IndexError("there are fewer numbers")
