"""The sorted history gives numpy's percentiles and survives its own round trip."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoclip_sep.clipping import history as module
from autoclip_sep.clipping.history import History, SortedBlocks

NORMS = st.lists(st.floats(min_value=0, max_value=1e30, exclude_min=True), min_size=1, max_size=50)


@given(norms=NORMS, percentile=st.floats(min_value=0, max_value=100))
def test_percentile_is_numpys(norms, percentile):
    history = History()
    for norm in norms:
        history.append(norm)
    assert history.percentile(percentile) == np.percentile(norms, percentile)


@given(norms=NORMS)
def test_tensor_keeps_the_order_of_arrival(norms):
    history = History()
    for norm in norms:
        history.append(norm)
    entries = history.tensor()
    assert entries.dtype == torch.float64
    assert entries.tolist() == norms
    again = History.unpacked(entries)
    again.append(1.5)
    history.append(1.5)
    assert again.tensor().tolist() == history.tensor().tolist()
    for percentile in (0, 10, 33.3, 100):
        assert again.percentile(percentile) == history.percentile(percentile)


@given(norms=NORMS, window=st.integers(min_value=1, max_value=20))
def test_a_window_forgets_the_oldest(norms, window):
    history = History(window)
    for count, norm in enumerate(norms, start=1):
        history.append(norm)
        kept = norms[max(0, count - window) : count]
        assert history.tensor().tolist() == kept
        assert history.percentile(30) == np.percentile(kept, 30)
    again = History.unpacked(torch.tensor(norms, dtype=torch.float64), window)
    assert again.tensor().tolist() == norms[-window:]
    assert again.percentile(30) == history.percentile(30)
    for norm in (1.5, 0.5):
        again.append(norm)
        history.append(norm)
    assert again.tensor().tolist() == history.tensor().tolist() == [*norms, 1.5, 0.5][-window:]
    assert again.percentile(30) == history.percentile(30)


def test_zeros_do_not_enter():
    history = History(window=2)
    for norm in (3.0, 0.0, 1.0, 0.0, 0.0):
        history.append(norm)
    assert history.tensor().tolist() == [3, 1]
    entries = torch.tensor([3.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)  # as they once did
    assert History.unpacked(entries, window=2).tensor().tolist() == [3, 1]


def test_a_new_history_is_empty():
    assert len(History()) == 0
    assert History().tensor().shape == (0,)
    assert len(History.unpacked(History().tensor())) == 0


def test_the_tensor_is_a_copy():
    history = History()
    history.append(1.0)
    entries = history.tensor()
    entries[0] = 7
    history.append(2.0)  # would fail if memory were still lent out
    assert history.tensor().tolist() == [1, 2]


def test_a_million_entries_come_back():
    entries = torch.rand(1_000_000, dtype=torch.float64)
    history = History.unpacked(entries)
    history.append(0.25)
    assert len(history) == 1_000_001
    assert history.percentile(0) == min(entries.min().item(), 0.25)
    assert torch.equal(history.tensor()[:-1], entries)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.ones(3),
        torch.ones(3, 1, dtype=torch.float64),
        torch.tensor([1.0, float("nan")], dtype=torch.float64),
        torch.tensor([float("inf")], dtype=torch.float64),
        torch.ones(1, dtype=torch.float64).expand(10**9),
        ["1", 2.0],
        [1.0, -2.0],
        bytes(8),
    ],
)
def test_anything_but_finite_float64_is_refused(wrong):
    with pytest.raises(ValueError, match="history"):
        History.unpacked(wrong)


@pytest.fixture(params=[2, 3, 8, 8192])
def block(request, monkeypatch):
    """The most numbers in a block."""
    monkeypatch.setattr(module, "_BLOCK", request.param)
    return request.param


@pytest.mark.parametrize("start", [0, 1, 7, 100])
def test_blocks_are_a_sorted_list(block, start):
    generator = random.Random(start)
    plain = sorted(generator.choice(range(20)) / 2 for _ in range(start))
    numbers = SortedBlocks(plain)
    for step in range(200):
        if plain and generator.random() < (0.3 if step < 100 else 0.9):
            gone = generator.choice(plain)
            plain.remove(gone)
            numbers.remove(gone)
        else:
            new = generator.choice(range(20)) / 2
            plain = sorted([*plain, new])
            numbers.insert(new)
        assert [numbers[place] for place in range(len(plain))] == plain
        with pytest.raises(IndexError):
            numbers[len(plain)]


def test_no_block_is_empty_or_too_large(block):
    numbers = SortedBlocks(range(300))
    for number in range(300):
        numbers.insert(number * 7 % 100)
        assert max(map(len, numbers._blocks)) <= block
    for number in range(300):
        numbers.remove(number)
        numbers.remove(number * 7 % 100)
        assert all(0 < len(part) <= block for part in numbers._blocks)
    assert numbers._blocks == []
