import numpy as np
import pytest
import torch

from autoclip_sep.data.loading.augmentation import RandomMixtures, RandomTracks, draw
from autoclip_sep.data.loading.loaders import TrainingLoader, fixed_segments
from autoclip_sep.errors import InputError

SETTINGS = RandomTracks(examples_per_track=6)


@pytest.fixture
def split(make_items, convert):
    """Ten stereo tracks of three sources, 300 to 1200 samples long."""
    items = make_items(signals=3, channels=2)
    return convert(items).split("train")


def batches(split, settings=SETTINGS, **more):
    return RandomMixtures(split, settings, **{"batch_size": 4, "segment": 250, "seed": 1, **more})


def find(split, source, sound):
    """Track, start, gain and whether it was swapped, of a source's segment (2, T) without zeros."""
    for i, name in enumerate(split.items):
        track = split.load(i)[1][source]
        for swapped in (False, True):
            heard = sound[::-1] if swapped else sound
            places = np.lib.stride_tricks.sliding_window_view(track[0], heard.shape[1])
            ratios = heard[0, 0] / np.where(places[:, 0] == 0, np.nan, places[:, 0])
            for start in np.flatnonzero(np.isclose(ratios * places[:, 1], heard[0, 1], rtol=1e-4)):
                piece = track[:, start : start + heard.shape[1]] * ratios[start]
                if np.allclose(piece, heard, atol=1e-5):
                    return name, int(start), float(ratios[start]), swapped
    raise AssertionError("in no track")


def test_each_source_is_a_scaled_slice_of_some_track(split):
    found = []
    for step in range(4):
        batch = batches(split)[0, step]
        assert batch.mixture.shape == (4, 2, 250)
        assert batch.sources.shape == (4, 3, 2, 250)
        assert batch.lengths.tolist() == [250] * 4
        assert torch.equal(batch.mixture, batch.sources.sum(dim=1))
        for sources, name in zip(batch.sources.numpy(), batch.items, strict=True):
            parts = [find(split, s, source) for s, source in enumerate(sources)]
            assert name == " + ".join(dict.fromkeys(part[0] for part in parts))
            found += parts
    assert all(0.25 <= gain <= 1.25 for _, _, gain, _ in found)
    assert 12 < sum(swapped for *_, swapped in found) < 36  # of 48
    assert len({start for _, start, _, _ in found}) > 30


def test_an_epoch_has_each_source_of_each_track_equally_often():
    drawn = draw(SETTINGS, tracks=10, signals=3, seed=0, epoch=0)
    assert drawn.tracks.shape == (60, 3)
    for source in range(3):
        assert np.bincount(drawn.tracks[:, source]).tolist() == [6] * 10
    same = (drawn.tracks == drawn.tracks[:, :1]).all(axis=1)
    assert same.mean() < 0.1  # 0.01 is expected: the sources are drawn on their own


def test_draws_fill_their_ranges_evenly():
    drawn = draw(RandomTracks(examples_per_track=500), tracks=10, signals=4, seed=0, epoch=3)
    assert drawn.gains.min() >= 0.25
    assert drawn.gains.max() <= 1.25
    assert drawn.gains.mean() == pytest.approx(0.75, abs=0.01)
    assert drawn.places.min() >= 0
    assert drawn.places.max() < 1
    assert drawn.places.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.swapped.mean() == pytest.approx(0.5, abs=0.02)
    columns = [drawn.tracks, drawn.places, drawn.gains, drawn.swapped]
    table = np.stack([column.ravel() for column in columns])
    assert np.abs(np.corrcoef(table) - np.eye(4)).max() < 0.03


def test_seed_and_epoch_alone_make_the_draws():
    plans = set()
    for seed in range(3):
        for epoch in range(3):
            first = draw(SETTINGS, 10, 3, seed, epoch)
            draw.cache_clear()
            again = draw(SETTINGS, 10, 3, seed, epoch)
            assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
            plans.add(first.places.tobytes())
    assert len(plans) == 9


def test_the_draws_stay_what_they_were():
    """A change here would break the resumption of every run begun before it."""
    drawn = draw(RandomTracks(examples_per_track=1), tracks=3, signals=2, seed=0, epoch=1)
    assert drawn.tracks.tolist() == [[1, 0], [2, 2], [0, 1]]
    assert drawn.places[0].tolist() == pytest.approx(
        [0.79336948056475, 0.80992435405125], abs=1e-12
    )
    assert drawn.gains[0].tolist() == pytest.approx([0.9208578, 0.6828721], abs=1e-6)
    assert drawn.swapped.tolist() == [[True, True], [True, False], [True, False]]


def test_without_mixing_sources_stay_together(split):
    plain = RandomTracks(6, mix=False, lowest_gain=1.0, highest_gain=1.0, swap=0.0)
    batch = batches(split, plain)[0, 0]
    for sources, name in zip(batch.sources.numpy(), batch.items, strict=True):
        i = split.items.index(name)
        _, start, _, _ = find(split, 0, sources[0])
        assert np.array_equal(sources, split.load(i, start, 250)[1])


def test_short_tracks_are_padded(split):
    batch = batches(split, segment=1000)[0, 0]
    drawn = draw(SETTINGS, 10, 3, seed=1, epoch=0)
    for b in range(4):
        lengths = np.minimum(split.lengths[drawn.tracks[b]], 1000)
        assert batch.lengths[b] == lengths.max()
        for source, length in zip(batch.sources[b], lengths, strict=True):
            assert not source[:, length:].any()
            assert source[:, :length].any()


def test_every_place_can_be_drawn(split):
    """A track one sample longer than the segment has two places, about equally often."""
    longest = int(split.lengths.argmax())
    plain = RandomTracks(50, mix=False, lowest_gain=1.0, highest_gain=1.0, swap=0.0)
    data = batches(split, plain, segment=int(split.lengths[longest]) - 1)
    first, second = split.load(longest)[1][0, 0, :2].tolist()
    heard = [
        float(batch.sources[b, 0, 0, 0])
        for batch in (data[0, step] for step in range(data.steps))
        for b, name in enumerate(batch.items)
        if name == split.items[longest]
    ]
    assert set(heard) == {first, second}
    assert len(heard) == 50
    assert 10 < heard.count(first) < 40


def same(one, other):
    return one.items == other.items and torch.equal(one.sources, other.sources)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_batch_of_one(split, world):
    alone = batches(split)[2, 1]
    parts = [batches(split, rank=rank, world=world)[2, 1] for rank in range(world)]
    assert sum((part.items for part in parts), ()) == alone.items
    assert torch.equal(torch.cat([part.sources for part in parts]), alone.sources)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_serves_an_epoch_of_them_from_any_step(split, workers):
    settings = {"batch_size": 4, "segment": 250, "seed": 1}
    loader = TrainingLoader(split, **settings, workers=workers, augmentation=SETTINGS)
    assert loader.steps == 15
    expected = [batches(split)[3, step] for step in range(15)]
    served = list(loader.epoch(3, start=11))
    assert len(served) == 4
    assert all(same(a, b) for a, b in zip(served, expected[11:], strict=True))


def test_batches_may_be_larger_than_the_number_of_tracks(split):
    settings = {"segment": 100, "seed": 0, "augmentation": SETTINGS}
    assert TrainingLoader(split, batch_size=60, **settings).steps == 1
    with pytest.raises(InputError, match="batch_size=61: the split has 60 examples"):
        TrainingLoader(split, batch_size=61, **settings)
    with pytest.raises(InputError, match="segment=None"):
        TrainingLoader(split, batch_size=4, segment=None, seed=0, augmentation=SETTINGS)


def test_validation_may_spread_several_segments_over_a_track(split):
    served = list(fixed_segments(split, batch_size=7, segment=100, each=3))
    assert [len(batch.items) for batch in served] == [7, 7, 7, 7, 2]
    assert sum((batch.items for batch in served), ())[:4] == ("train-0",) * 3 + ("train-1",)
    _, sources = split.load(0)  # 700 samples: 600 of room
    for n, start in enumerate((100, 300, 500)):
        assert np.array_equal(served[0].sources[n].numpy(), sources[..., start : start + 100])


@pytest.mark.parametrize(
    "wrong",
    [
        {"examples_per_track": 0},
        {"examples_per_track": 2.5},
        {"mix": "no"},
        {"lowest_gain": -0.1},
        {"lowest_gain": 2.0},
        {"highest_gain": float("nan")},
        {"swap": 1.5},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong)).split("_")[-1]):
        RandomTracks(**wrong)
