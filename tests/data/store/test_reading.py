import json
import pickle
from contextlib import suppress

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.loading.augmentation import RandomTracks
from autoclip_sep.data.loading.loaders import (
    TrainingLoader,
    evaluation_batches,
    fixed_segments,
)
from autoclip_sep.data.store.reading import Item, Signal, Store
from autoclip_sep.errors import InputError
from tests.data.loading.batches import training_batches


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ({}, np.int16),
        ({"signals": 3, "channels": 2}, np.int16),
        ({"signals": 3, "targets": (True, False, True)}, np.int16),  # the second is noise
        ({"subtype": "FLOAT", "loud": 3.0, "mixtures": False}, np.float32),
        ({"subtype": "PCM_24", "mixtures": False}, np.float32),
    ],
)
def test_the_store_holds_the_files_samples(make_items, convert, kind, dtype):
    items = make_items(**kind)
    store = convert(items)
    assert (store.splits, store.sample_rate) == (("train", "test"), 8000)
    targets = [signal.target for signal in items[0].signals]
    for name in store.splits:
        split = store.split(name)
        own = [item for item in items if item.split == name]
        assert split.items == [item.name for item in own]
        assert (split.sources, split.channels) == (sum(targets), kind.get("channels", 1))
        assert split.dtype == dtype
        for i, item in enumerate(own):
            expected = np.stack([soundfiles.read(signal.path)[0] for signal in item.signals])
            mixture, sources = split.load(i)
            assert sources.dtype == mixture.dtype == np.float32
            assert np.array_equal(sources, expected[targets])
            assert np.allclose(mixture, expected.sum(axis=0), atol=1e-6)
            assert split.lengths[i] == expected.shape[-1]


def test_a_part_is_the_slice_of_the_whole(store):
    split = store.split("train")
    mixture, sources = split.load(3)
    part, parts = split.load(3, start=100, frames=250)
    assert np.array_equal(part, mixture[:, 100:350])
    assert np.array_equal(parts, sources[..., 100:350])
    with pytest.raises(IndexError):
        split.load(3, start=100, frames=801)
    with pytest.raises(IndexError):
        split.load(3, start=-1, frames=5)


@pytest.mark.parametrize(("off", "stored"), [(2, False), (40, True)])
def test_a_mixture_is_stored_where_it_isnt_the_sum(make_items, convert, off, stored):
    """2 LSB are rounding."""
    items = make_items()
    own = sum(soundfiles.read(s.path, dtype=np.int16)[0] for s in items[1].signals)
    own[0, 5] += off
    soundfiles.write(items[1].mixture, own, 8000)
    store = convert(items)
    split = store.split("train")
    mixture, sources = split.load(1)
    total = sources.sum(axis=0)
    assert np.array_equal(mixture, own / np.float32(32768) if stored else total)
    assert np.array_equal(split.load(1, start=4, frames=3)[0], mixture[:, 4:7])
    values = 2 * sum(int(store.split(name).lengths.sum()) for name in store.splits)
    size = (store.folder / "samples.bin").stat().st_size
    assert size == 2 * (values + stored * own.size)  # only this one


def test_a_split_travels_to_another_process(store):
    split = store.split("train")
    before = split.load(2)[0]
    data = pickle.dumps(split)
    assert len(data) < 10_000  # the samples stay in the file
    assert np.array_equal(pickle.loads(data).load(2)[0], before)


def test_a_wrong_split_names_the_right_ones(store):
    with pytest.raises(InputError, match=r"split=valid: .* has train, test"):
        store.split("valid")


def test_a_store_that_isnt_whole_is_refused(store, tmp_path):
    samples = store.folder / "samples.bin"
    samples.write_bytes(samples.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole store"):
        Store(store.folder)
    with pytest.raises(InputError, match="not a whole store"):
        Store(tmp_path / "none")


def test_pickles_in_the_index_are_refused(store):
    np.save(store.folder / "index.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="not a whole store"):
        Store(store.folder)


def older(store):
    """The store as it was made before there were checksums."""
    meta = json.loads((store.folder / "meta.json").read_text())
    del meta["chunk"], meta["crc32"]
    (store.folder / "meta.json").write_text(json.dumps(meta))
    (store.folder / "crc32.npy").unlink()
    return Store(store.folder)


def damage(store, byte):
    with open(store.folder / "samples.bin", "r+b") as file:
        file.seek(byte)
        (old,) = file.read(1)
        file.seek(byte)
        file.write(bytes([old ^ 1]))


@pytest.fixture
def long_store(convert, tmp_path):
    """Three mixtures of 200,000 bytes each: some chunks belong to one, some to two."""
    rng = np.random.default_rng(0)
    items = []
    for name in "abc":
        paths = [tmp_path / f"{name}{s}.wav" for s in range(2)]
        for path in paths:
            soundfiles.write(path, rng.uniform(-0.4, 0.4, 50_000), 8000)
        items.append(Item(name, "train", tuple(Signal(path) for path in paths)))
    return convert(items, name="long")


@pytest.mark.parametrize(
    ("byte", "read"),
    [
        (0, (0, 0, 10)),
        (199_999, (0, 49_999, 1)),
        (350_000, (1, 20_000, 9000)),
        (599_999, (2, 0, 50_000)),
    ],
)
def test_a_flipped_bit_is_noticed_where_it_is_read(long_store, byte, read):
    damage(long_store, byte)
    split = long_store.split("train")
    with pytest.raises(InputError, match=rf"samples\.bin is damaged .* for {'abc'[read[0]]}: del"):
        split.load(*read)
    with pytest.raises(InputError):  # again, and in another process
        pickle.loads(pickle.dumps(split)).signals(*read)
    split.load(0, 10_000, 5000) if byte > 300_000 else split.load(2, 10_000, 5000)


def test_every_flipped_bit_is_noticed_by_who_reads_everything(long_store):
    for byte in np.random.default_rng(1).integers(0, 600_000, 25).tolist():
        damage(long_store, byte)
        split = long_store.split("train")
        with pytest.raises(InputError, match="damaged"):
            [split.load(i) for i in range(3)]
        damage(long_store, byte)
    [long_store.split("train").load(i) for i in range(3)]


def test_a_store_of_before_there_were_checksums_opens(long_store):
    expected = long_store.split("train").load(1)
    split = older(long_store).split("train")
    assert all(np.array_equal(*pair) for pair in zip(split.load(1), expected, strict=True))


@pytest.mark.parametrize("name", ["index.npy", "meta.json", "crc32.npy"])
def test_a_flipped_bit_beside_the_samples_changes_no_sound(long_store, name):
    def sounds():
        opened = Store(long_store.folder)
        split = opened.split("train")
        loaded = [part.tobytes() for i in range(len(split)) for part in split.load(i)]
        return [opened.sample_rate, opened.fingerprint, split.items, *loaded]

    path, expected = long_store.folder / name, sounds()
    whole = path.read_bytes()
    for bit in np.random.default_rng(1).choice(8 * len(whole), 200, replace=False).tolist():
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with suppress(InputError):
            assert sounds() == expected


@pytest.mark.parametrize("wrong", [np.zeros(3, np.uint32), np.zeros(10, np.int64), None])
def test_checksums_of_something_else_are_refused(long_store, wrong):
    path = long_store.folder / "crc32.npy"
    path.unlink() if wrong is None else np.save(path, wrong)
    with pytest.raises(InputError, match="not a whole store"):
        Store(long_store.folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_numbers_are_named_before_a_network_sees_them(make_items, convert, bad):
    items = make_items(subtype="FLOAT", mixtures=False)
    store = older(convert(items))
    samples = np.memmap(store.folder / "samples.bin", np.float32, "r+")
    samples[2 * 700 + 3 : 2 * 700 + 13] = bad  # in the second mixture, train-1
    samples.flush()
    split = store.split("train")
    how = {"batch_size": 10, "segment": 1200, "seed": 0}
    tracks = RandomTracks(examples_per_track=1, lowest_gain=1.0)
    for batches in (
        training_batches(split, **how, epoch=1),
        training_batches(split, **how, epoch=1, workers=1),
        TrainingLoader(split, **how, augmentation=tracks).epoch(1),
        evaluation_batches(split, 1),
        fixed_segments(split, 4, 1200),
    ):
        with pytest.raises(InputError, match=r"samples of (\S+ \+ )?train-1\b.* are non-finite"):
            list(batches)
