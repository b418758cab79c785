import numpy as np
import pytest
import torch

from autoclip_sep.data.loading.segments import Segments, epoch_plan, segments, whole


def test_an_epoch_has_every_item_once():
    order, places = epoch_plan(1000, seed=3, epoch=7)
    assert sorted(order.tolist()) == list(range(1000))
    assert places.min() >= 0.0
    assert places.max() < 1.0
    assert abs(places.mean() - 0.5) < 0.05


def test_seed_and_epoch_alone_make_the_plan():
    plans = {}
    for seed in range(3):
        for epoch in range(3):
            epoch_plan.cache_clear()
            order, places = epoch_plan(50, seed, epoch)
            epoch_plan.cache_clear()
            again, places_again = epoch_plan(50, seed, epoch)
            assert np.array_equal(order, again)
            assert np.array_equal(places, places_again)
            plans[seed, epoch] = tuple(order.tolist())
    assert len(set(plans.values())) == 9


def test_the_plan_stays_what_it_was():
    """A change here would break the resumption of every run begun before it."""
    order, places = epoch_plan(8, seed=0, epoch=1)
    assert order.tolist() == [3, 7, 4, 2, 1, 6, 5, 0]
    assert places[:3].tolist() == pytest.approx(
        [0.44905698964919, 0.43838407129743, 0.65151368915126], abs=1e-12
    )


def test_a_batch_holds_slices_of_its_items(store):
    split = store.split("train")
    data = Segments(split, batch_size=4, segment=200, seed=1)
    assert data.steps == 2
    starts = set()
    for epoch in range(5):
        for step in range(2):
            batch = data[epoch, step]
            assert batch.mixture.shape == (4, 1, 200)
            assert batch.sources.shape == (4, 2, 1, 200)
            assert batch.lengths.tolist() == [200] * 4
            for b, name in enumerate(batch.items):
                i = split.items.index(name)
                _, whole_item = split.load(i)
                windows = np.lib.stride_tricks.sliding_window_view(whole_item[0, 0], 200)
                found = np.flatnonzero((windows == batch.sources[b, 0, 0].numpy()).all(axis=1))
                assert len(found) == 1
                start = int(found[0])
                starts.add((name, start))
                assert np.array_equal(
                    batch.sources[b].numpy(), whole_item[..., start : start + 200]
                )
            assert torch.equal(batch.mixture, batch.sources.sum(dim=1))
    assert len(starts) > 35  # crops move from epoch to epoch


def test_an_epoch_serves_each_item_at_most_once(store):
    data = Segments(store.split("train"), batch_size=3, segment=50, seed=0)
    names = [name for step in range(data.steps) for name in data[0, step].items]
    assert len(names) == len(set(names)) == 9


def test_short_items_are_padded_with_zeros(store):
    split = store.split("train")
    data = Segments(split, batch_size=10, segment=800, seed=0)
    batch = data[0, 0]
    for b, name in enumerate(batch.items):
        i = split.items.index(name)
        length = int(split.lengths[i])
        assert batch.lengths[b] == min(length, 800)
        if length <= 800:
            assert np.array_equal(batch.sources[b, ..., :length].numpy(), split.load(i)[1])
            assert not batch.sources[b, ..., length:].any()
            assert not batch.mixture[b, ..., length:].any()


def test_whole_items_are_padded_to_the_longest(store):
    split = store.split("train")
    batch = Segments(split, batch_size=5, segment=None, seed=0)[0, 1]
    longest = int(batch.lengths.max())
    assert batch.mixture.shape == (5, 1, longest)
    for b, name in enumerate(batch.items):
        assert batch.lengths[b] == split.lengths[split.items.index(name)]
        assert not batch.mixture[b, :, batch.lengths[b] :].any()


def test_every_crop_can_happen(store):
    """An item one sample longer than the segment has two crops, about equally often."""
    split = store.split("test")
    data = Segments(split, batch_size=3, segment=899, seed=0)
    first = split.load(1)[1][..., :899]
    hits = [
        bool(np.array_equal(batch.sources[batch.items.index("test-1")].numpy(), first))
        for batch in (data[epoch, 0] for epoch in range(60))
    ]
    assert 15 < sum(hits) < 45


def test_both_readers_agree(store):
    split = store.split("test")
    items = np.array([0, 2])  # both have 500 samples
    one, other = whole(split, items), segments(split, items, np.zeros(2, dtype=np.int64), 500)
    assert torch.equal(one.mixture, other.mixture)
    assert torch.equal(one.sources, other.sources)
    assert one.items == other.items == ("test-0", "test-2")
    assert one.lengths.tolist() == other.lengths.tolist() == [500, 500]
