import numpy as np
import pytest
import torch

from autoclip_sep.data.loading.augmentation import RandomTracks, draw
from autoclip_sep.data.loading.loaders import (
    TrainingLoader,
    evaluation_batches,
    fixed_segments,
)
from autoclip_sep.data.loading.segments import epoch_plan
from autoclip_sep.errors import InputError
from tests.data.loading.batches import training_batches

SETTINGS = {"batch_size": 2, "segment": 250, "seed": 4}


def same(one, other):
    return len(one) == len(other) and all(
        a.items == b.items
        and torch.equal(a.mixture, b.mixture)
        and torch.equal(a.sources, b.sources)
        and torch.equal(a.lengths, b.lengths)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_make_no_difference(store, workers):
    """Two epochs from one loader, so that its workers are used twice."""
    split = store.split("train")
    alone = TrainingLoader(split, **SETTINGS)
    helped = TrainingLoader(split, **SETTINGS, workers=workers)
    for epoch in (0, 1):
        assert same(list(alone.epoch(epoch)), list(helped.epoch(epoch)))


def test_workers_may_be_spawned(store, monkeypatch):
    split = store.split("train")
    split.load(0)  # the map is open here, and must not travel
    loader = TrainingLoader(split, **SETTINGS, workers=1)
    monkeypatch.setattr(loader._loader, "multiprocessing_context", "spawn")
    expected = list(training_batches(split, **SETTINGS, epoch=3))
    assert same(list(loader.epoch(3)), expected)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_an_epoch_goes_on_where_it_stopped(store, start, workers):
    split = store.split("train")
    whole = list(training_batches(split, **SETTINGS, epoch=2))
    assert len(whole) == 5
    rest = training_batches(split, **SETTINGS, epoch=2, start=start, workers=workers)
    assert same(list(rest), whole[start:])


def test_an_epoch_that_was_left_doesnt_touch_the_next(store):
    split = store.split("train")
    loader = TrainingLoader(split, **SETTINGS, workers=2)
    for batch in loader.epoch(0):
        assert batch.mixture.shape == (2, 1, 250)
        break
    assert same(list(loader.epoch(1)), list(training_batches(split, **SETTINGS, epoch=1)))


def test_the_last_partial_batch_is_dropped(store):
    batches = training_batches(store.split("train"), batch_size=4, segment=100, seed=0, epoch=0)
    assert [len(batch.items) for batch in batches] == [4, 4]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("augmentation", [None, RandomTracks(examples_per_track=1)])
def test_the_global_generators_are_left_alone_and_change_nothing(store, workers, augmentation):
    how = {**SETTINGS, "epoch": 0, "workers": workers, "augmentation": augmentation}
    first = list(training_batches(store.split("train"), **how))
    torch.manual_seed(99)
    np.random.seed(99)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_plan.cache_clear()
    draw.cache_clear()
    assert same(list(training_batches(store.split("train"), **how)), first)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize("world", [1, 2, 4])
def test_all_worlds_see_one_set_per_step(store, world):
    split = store.split("train")
    settings = {"batch_size": 4, "segment": 100, "seed": 0, "epoch": 0}
    alone = [batch.items for batch in training_batches(split, **settings)]
    ranks = [
        [batch.items for batch in training_batches(split, **settings, rank=rank, world=world)]
        for rank in range(world)
    ]
    for step, items in enumerate(alone):
        assert sum((rank[step] for rank in ranks), ()) == items


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 3, "world": 2}, "batch_size=3: not divisible among 2"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": -2}, "batch_size=-2"),
        ({"batch_size": 11}, "has 10 examples"),
        ({"segment": 0}, "segment=0"),
    ],
)
def test_what_cant_work_is_refused_at_the_start(store, change, words):
    with pytest.raises(InputError, match=words):
        training_batches(store.split("train"), **{**SETTINGS, "epoch": 0, **change})


def test_evaluation_pads_nothing_and_leaves_nothing_out(store):
    split = store.split("train")
    batches = list(evaluation_batches(split, batch_size=2))
    assert same(batches, list(evaluation_batches(split, batch_size=2)))
    assert sorted(name for batch in batches for name in batch.items) == sorted(split.items)
    assert len(batches) == 9  # 900 occurs twice, the other lengths once
    for batch in batches:
        assert set(batch.lengths.tolist()) == {batch.mixture.shape[-1]}
        for b, name in enumerate(batch.items):
            mixture, sources = split.load(split.items.index(name))
            assert torch.equal(batch.mixture[b], torch.from_numpy(mixture))
            assert torch.equal(batch.sources[b], torch.from_numpy(sources))


def test_validation_takes_the_middle(store):
    split = store.split("train")
    batches = list(fixed_segments(split, batch_size=4, segment=500))
    assert [len(batch.items) for batch in batches] == [4, 4, 2]
    assert [name for batch in batches for name in batch.items] == split.items
    _, sources = split.load(0)  # 700 samples
    assert torch.equal(batches[0].sources[0], torch.from_numpy(sources[..., 100:600]))
    assert batches[-1].lengths.tolist() == [400, 500]
    assert not batches[-1].mixture[0, :, 400:].any()
    assert same(batches, list(fixed_segments(split, batch_size=4, segment=500)))


def test_validation_may_take_whole_items(store):
    split = store.split("test")
    assert same(list(fixed_segments(split, 2, None)), list(evaluation_batches(split, 2)))


def test_several_signals_and_channels(make_items, convert):
    items = make_items(signals=3, channels=2, targets=(True, False, True))
    split = convert(items).split("train")
    batch = next(iter(training_batches(split, **SETTINGS, epoch=0)))
    assert batch.mixture.shape == (2, 2, 250)
    assert batch.sources.shape == (2, 2, 2, 250)
    assert not torch.allclose(batch.mixture, batch.sources.sum(dim=1), atol=0.01)
