from functools import cache

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.loading.random_speech import (
    LIBRIMIX,
    WSJ0_MIX,
    Levels,
    MixedSpeech,
    RandomSpeech,
    draw,
)
from autoclip_sep.data.loading.segments import Segments
from autoclip_sep.data.speakers import of_wsj0_mix
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError

MIXED = RandomSpeech(speakers_of=of_wsj0_mix)
FASTER = RandomSpeech(mix=False, speeds=[0.9, 1.0, 1.1])
BOTH = RandomSpeech(speeds=[0.9, 1.0, 1.1], speakers_of=of_wsj0_mix)
SETTINGS = {"batch_size": 4, "segment": 400, "seed": 1}
SPEAKERS = 5


@pytest.fixture(scope="module")
def make_split(tmp_path_factory):
    """A split of 12 mixtures of noise, whose names are WSJ0-mix's."""

    @cache
    def make(sources=2, noise=False):
        folder = tmp_path_factory.mktemp("speech")
        rng = np.random.default_rng(sources)
        items = []
        for n in range(12):
            length = 600 + 50 * (n * 7 % 12)
            who = [(n + (1 + n // SPEAKERS) * s) % SPEAKERS for s in range(sources)]
            gains = np.linspace(2, -2, sources)
            parts = [f"{w:03}c{n:03}{s}_{gains[s]:.4g}" for s, w in enumerate(who)]
            paths = [folder / f"s{s}" / f"{n}.wav" for s in range(sources + noise)]
            for path in paths:
                loud = rng.uniform(0.05, 0.2)
                soundfiles.write(path, rng.uniform(-loud, loud, (1, length)), 8000)
            signals = tuple(Signal(path, s < sources) for s, path in enumerate(paths))
            items.append(Item("_".join(parts), "train", signals))
        return prepare(folder / "store", 8000, items, progress=False, jobs=1).split("train")

    return make


@pytest.fixture(scope="module")
def split(make_split):
    return make_split()


def batches(split, settings=MIXED, **more):
    return MixedSpeech(split, settings, **{**SETTINGS, **more})


def found(split, sound):
    """Mixture, signal, start and gain [dB] of a segment (T,) that is a scaled slice of a signal."""
    for i in range(len(split)):
        for s, signal in enumerate(split.signals(i)[:, 0] * split.scale):
            places = np.lib.stride_tricks.sliding_window_view(signal, len(sound))
            factor = places @ sound / (places**2).sum(axis=1)
            close = np.abs(places * factor[:, None] - sound).max(axis=1) < 1e-5
            for start in np.flatnonzero(close & (factor > 0)):
                return i, s, int(start), 20 * np.log10(factor[start])
    raise AssertionError("in no mixture")


def level(split, i, s):
    """Mean power [dB] of a stored signal."""
    return 10 * np.log10(np.mean((split.signals(i)[s] * split.scale) ** 2))


def epoch_of(split, settings=MIXED, epoch=0, **more):
    """What is heard: (mixture, source, start, gain) of the sources of each example."""
    data = batches(split, settings, **more)
    heard = []
    for step in range(data.steps):
        batch = data[epoch, step]
        assert torch.equal(batch.mixture, batch.sources.sum(dim=1))
        heard += [[found(split, s.numpy()[0]) for s in example] for example in batch.sources]
    return heard


def test_an_epoch_hears_every_source_once_beside_another_speaker(split):
    heard = epoch_of(split)
    assert len(heard) == len(split)
    sources = [(i, s) for example in heard for i, s, *_ in example]
    assert sorted(sources) == [(i, s) for i in range(len(split)) for s in range(2)]
    for example in heard:
        one, other = (of_wsj0_mix(split.items[i])[s] for i, s, *_ in example)
        assert one != other
    new = [example for example in heard if example[0][0] != example[1][0]]
    assert len(new) >= 9  # of 12
    assert len({start for example in heard for *_, start, _ in example}) > 18


def test_pairs_and_levels_are_new_in_every_epoch(split):
    first, second = ({(*one[:2], *other[:2]): one[3] for one, other in epoch_of(split, epoch=e)}
                     for e in (0, 1))  # fmt: skip
    assert len(first.keys() & second.keys()) <= 2


def test_wsj0_mix_has_0_to_5_db_around_the_level_of_the_place_taken(split):
    drawn = batches(split)._draws(0)
    for n, example in enumerate(epoch_of(split)):
        one, other = (level(split, i, s) + gain for i, s, _, gain in example)
        place = int(drawn.items[n])
        assert (one + other) / 2 == pytest.approx(
            np.mean([level(split, place, s) for s in range(2)]), abs=0.02
        )
        assert abs(one - other) <= 5.02
        assert one - other == pytest.approx(2 * drawn.gains[n, 0], abs=0.02)


def test_librimix_has_absolute_levels(split):
    settings = RandomSpeech(speakers_of=of_wsj0_mix, levels=LIBRIMIX)
    levels = [level(split, i, s) + gain for e in epoch_of(split, settings) for i, s, _, gain in e]
    assert min(levels) > -33.02
    assert max(levels) < -24.98
    assert np.ptp(levels) > 5


def test_gains_of_ones_own_are_each_speakers_own(split):
    settings = RandomSpeech(speakers_of=of_wsj0_mix, gains=[-6, -2])
    drawn = draw(settings, (500, 2), np.arange(1000), 0, 0)
    assert drawn.gains.min() >= -6
    assert drawn.gains.max() <= -2
    assert abs(np.corrcoef(drawn.gains.T)[0, 1]) < 0.1


@pytest.mark.parametrize("levels", [WSJ0_MIX, LIBRIMIX, Levels(-1, 3)])
def test_draws_fill_their_ranges_evenly(levels):
    settings = RandomSpeech(levels=levels, speeds=[0.9, 1.0, 1.1])
    drawn = draw(settings, (4000, 2), np.arange(8000), seed=0, epoch=3)
    middle = (levels.lowest + levels.highest) / 2
    assert drawn.gains[:, 0].mean() == pytest.approx(middle, abs=0.1)
    assert drawn.gains[:, 0].std() == pytest.approx(
        (levels.highest - levels.lowest) / 12**0.5, rel=0.03
    )
    assert drawn.places.mean() == pytest.approx(0.5, abs=0.02)
    assert np.bincount(drawn.speeds.ravel()).tolist() == pytest.approx([8000 / 3] * 3, rel=0.05)
    columns = [drawn.places[:, 0], drawn.places[:, 1], drawn.gains[:, 0], drawn.speeds[:, 0],
               drawn.speeds[:, 1], drawn.sources[:, 0], drawn.place]  # fmt: skip
    assert np.abs(np.corrcoef(np.stack(columns)) - np.eye(7)).max() < 0.06


def test_the_draws_stay_what_they_were():
    """A change here would break the resumption of every run begun before it."""
    drawn = draw(BOTH, (3, 2), np.array([0, 1, 0, 2, 1, 2]), seed=0, epoch=1)
    assert drawn.items.tolist() == [2, 1, 0]
    assert drawn.sources.tolist() == [[4, 3], [0, 5], [1, 2]]
    assert drawn.places[0].tolist() == pytest.approx(
        [0.07356517394888, 0.10098198591756], abs=1e-12
    )
    assert drawn.gains[0].tolist() == pytest.approx(
        [0.95104068061336, -0.95104068061336], abs=1e-12
    )
    assert drawn.speeds.tolist() == [[1, 2], [1, 2], [2, 2]]


def test_without_mixing_and_other_speeds_it_is_the_corpus_own_epoch(make_split):
    split = make_split(noise=True)
    plain = Segments(split, **SETTINGS)
    data = batches(split, RandomSpeech(mix=False, speeds=[1.0]))
    for epoch in range(2):
        for step in range(plain.steps):
            assert same(data[epoch, step], plain[epoch, step])


def test_another_speed_leaves_what_belongs_together(split):
    """Both sources slowed by the same: the mixture at that speed."""
    slow = RandomSpeech(mix=False, speeds=[0.5])
    data, plain = (
        batches(split, slow, segment=1300),
        Segments(split, **{**SETTINGS, "segment": 1300}),
    )
    batch, usual = data[0, 0], plain[0, 0]
    assert batch.items == usual.items
    for b, name in enumerate(batch.items):
        stored = split.lengths[split.items.index(name)]
        assert batch.lengths[b] == min(2 * stored, 1300)
        assert not batch.sources[b, ..., batch.lengths[b] :].any()
        if 2 * stored <= 1300:  # all of it: every second sample is one of the signal
            kept = batch.sources[b, ..., : batch.lengths[b] : 2][..., 20:-20]
            assert torch.allclose(kept, usual.sources[b, ..., :stored][..., 20:-20], atol=0.02)


def test_sources_have_speeds_of_their_own(split):
    drawn = batches(split, FASTER)._draws(0)
    assert 2 <= (drawn.speeds[:, 0] != drawn.speeds[:, 1]).sum() <= 12
    assert np.array_equal(drawn.sources // 2, np.repeat(drawn.items[:, None], 2, axis=1))
    assert np.array_equal(drawn.places[:, 0], drawn.places[:, 1])
    batch = batches(split, FASTER)[0, 0]
    assert batch.sources.abs().amax(dim=-1).min() > 0.02
    plain = Segments(split, **SETTINGS)[0, 0]
    assert batch.items == plain.items
    for b in range(4):
        for s in range(2):
            kept = drawn.speeds[b, s] == 1
            if not kept:
                with pytest.raises(AssertionError, match="in no mixture"):
                    found(split, batch.sources[b, s, 0].numpy())


def test_noise_stays_with_the_place_that_is_taken(make_split):
    split = make_split(noise=True)
    data = batches(split, RandomSpeech(speakers_of=of_wsj0_mix))
    drawn = data._draws(0)
    for step in range(data.steps):
        batch = data[0, step]
        noise = (batch.mixture - batch.sources.sum(dim=1))[:, 0].numpy()
        for b in range(4):
            i, s, _, gain = found(split, noise[b])
            assert (i, s) == (drawn.items[4 * step + b], 2)
            assert gain == pytest.approx(0, abs=0.01)
            assert split.items[i] in batch.items[b]


def test_three_speakers_are_three(make_split):
    split = make_split(sources=3)
    heard = epoch_of(split)
    assert len({(i, s) for example in heard for i, s, *_ in example}) == 36
    for example in heard:
        assert len({of_wsj0_mix(split.items[i])[s] for i, s, *_ in example}) == 3


def test_all_sources_of_an_example_end_together(split):
    batch = batches(split, segment=900)[0, 0]
    for b in range(4):
        length = int(batch.lengths[b])
        assert not batch.sources[b, ..., length:].any()
        assert (batch.sources[b, ..., :length] != 0).float().mean() > 0.9


def test_silence_stays_silent(tmp_path, convert):
    items = []
    for n in range(3):
        paths = [tmp_path / f"quiet{s}" / f"{n}.wav" for s in range(2)]
        for s, path in enumerate(paths):
            soundfiles.write(path, np.full((1, 500), 0.1 * s), 8000)
        items.append(Item(f"00{n}c0000_1_10{n}c0000_-1", "train", tuple(map(Signal, paths))))
    batch = batches(convert(items, "silent").split("train"), batch_size=3)[0, 0]
    assert torch.isfinite(batch.sources).all()
    assert (batch.sources[:, :, 0].abs().amax(dim=-1) == 0).sum() == 3


def test_padding_is_no_part_of_a_level(tmp_path, convert):
    """Mixtures of the kind `max` end in zeros."""
    rng, items = np.random.default_rng(0), []
    for n in range(4):
        paths = [tmp_path / f"max{s}" / f"{n}.wav" for s in range(2)]
        for path, end in zip(paths, (800, 200), strict=True):
            sound = rng.uniform(-0.2, 0.2, (1, 800))
            sound[:, end:] = 0
            soundfiles.write(path, sound, 8000)
        items.append(Item(f"00{n}c0000_1_10{n}c0000_-1", "train", tuple(map(Signal, paths))))
    data = batches(convert(items, "max").split("train"))
    powers = np.array([[data._power(i, s) for s in range(2)] for i in range(4)])
    assert powers == pytest.approx(0.2**2 / 3, rel=0.25)


def same(one, other):
    return (
        one.items == other.items
        and torch.equal(one.mixture, other.mixture)
        and torch.equal(one.sources, other.sources)
        and torch.equal(one.lengths, other.lengths)
    )


@pytest.mark.parametrize("settings", [MIXED, FASTER, BOTH], ids=["mixed", "faster", "both"])
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_batch_of_one(split, settings, world):
    alone = batches(split, settings)[2, 1]
    parts = [batches(split, settings, rank=rank, world=world)[2, 1] for rank in range(world)]
    assert sum((part.items for part in parts), ()) == alone.items
    assert torch.equal(torch.cat([part.sources for part in parts]), alone.sources)


@pytest.mark.parametrize("settings", [FASTER, BOTH], ids=["faster", "both"])
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_a_loader_serves_an_epoch_of_it_from_any_step(split, settings, workers):
    """In the order in which nobody else reads it: what a batch is depends on no other."""
    expected = [batches(split, settings)[3, step] for step in reversed(range(3))][::-1]
    loader = TrainingLoader(split, **SETTINGS, workers=workers, augmentation=settings)
    assert loader.steps == 3
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for start in (0, 1):
            served = list(loader.epoch(3, start))
            assert len(served) == 3 - start
            assert all(same(a, b) for a, b in zip(served, expected[start:], strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gains": [1]}, "gains"),
        ({"gains": [3, 1]}, "gains"),
        ({"gains": [0, 99]}, "gains"),
        ({"mix": False, "gains": [0, 1]}, "gains"),
        ({"speeds": [1.0, 3.0]}, "speed"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RandomSpeech(**wrong)


def test_unknown_speakers_are_refused_where_they_matter(store, split):
    other = store.split("train")
    with pytest.raises(InputError, match="the name train-0 doesn't tell the 2 speakers"):
        batches(other)
    with pytest.raises(InputError, match="doesn't tell the 2 speakers"):
        batches(split, RandomSpeech())
    assert batches(other, RandomSpeech(mix=False, speeds=[0.9]))[0, 0].sources.any()
    with pytest.raises(InputError, match="they can't be kept apart"):
        batches(split, RandomSpeech(speakers_of=lambda item: ("she", "she")))[0, 0]
