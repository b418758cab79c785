"""Blocks of numbers are one ordered list, whatever their size."""

import random

import pytest

from autoclip_sep.clipping import history as ordered
from autoclip_sep.clipping.history import SortedBlocks as Ordered


@pytest.fixture(autouse=True, params=[2, 3, 8, 8192])
def block(request, monkeypatch):
    monkeypatch.setattr(ordered, "_BLOCK", request.param)


def contents(numbers, count):
    return [numbers[place] for place in range(count)]


@pytest.mark.parametrize("start", [0, 1, 7, 100])
def test_it_is_a_sorted_list(start):
    generator = random.Random(start)
    plain = sorted(generator.choice(range(20)) / 2 for _ in range(start))
    numbers = Ordered(plain)
    for step in range(500):
        if plain and generator.random() < (0.3 if step < 250 else 0.9):
            gone = generator.choice(plain)
            plain.remove(gone)
            numbers.remove(gone)
        else:
            new = generator.choice(range(20)) / 2
            plain = sorted([*plain, new])
            numbers.insert(new)
        assert contents(numbers, len(plain)) == plain
        with pytest.raises(IndexError):
            numbers[len(plain)]


def test_no_block_is_empty_or_too_large(block):
    numbers = Ordered()
    for number in range(1000):
        numbers.insert(number * 7 % 100)
    for number in range(1000):
        assert all(0 < len(part) <= ordered._BLOCK for part in numbers._blocks)
        numbers.remove(number * 7 % 100)
    assert numbers._blocks == []
    numbers.insert(1.0)
    assert numbers[0] == 1


def test_a_million_numbers_lie_in_small_blocks():
    numbers = Ordered(range(1_000_000))
    assert max(map(len, numbers._blocks)) <= max(1, ordered._BLOCK // 2)
    numbers.insert(500_000.5)
    assert [numbers[500_000 + i] for i in range(3)] == [500_000, 500_000.5, 500_001]
