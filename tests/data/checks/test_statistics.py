import hashlib
from functools import partial
from itertools import groupby

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.checks import statistics as module
from autoclip_sep.data.checks.statistics import signal_statistics
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from tests.long_files import peak_memory, silence

measure = partial(signal_statistics, progress=False)


@pytest.fixture
def make(convert, tmp_path):
    """A store of mixtures of given signals, each (T,) or (C, T); `own` is a mixture's own file."""

    def write(*mixtures, own=None, subtype="PCM_16"):
        items = []
        for n, signals in enumerate(mixtures):
            paths = [tmp_path / f"s{s + 1}" / f"{n}.wav" for s in range(len(signals))]
            for path, signal in zip(paths, signals, strict=True):
                soundfiles.write(path, signal, 8000, subtype)
            if own is not None:
                soundfiles.write(tmp_path / f"mix/{n}.wav", own, 8000, subtype)
            mixture = None if own is None else tmp_path / f"mix/{n}.wav"
            items.append(Item(str(n), "train", tuple(map(Signal, paths)), mixture))
        return convert(items)

    return write


def sounds(length=400):
    rng = np.random.default_rng(0)
    one, two = rng.integers(-8000, 8000, (2, length)).astype(np.int16)
    return one, two


def test_a_row_for_every_signal_and_one_for_the_mixture(make):
    one, two = sounds()
    rows = measure(make([one, two], [two, one]))
    assert rows.shape == (2, 3)
    for row, sound in zip(rows[0], (one, two, one + two), strict=True):
        assert row["peak"] == np.float32(np.abs(sound).max() / 2**15)
        assert row["dc"] == pytest.approx(abs(sound.mean()) / 2**15, rel=1e-6)
        assert row["clipped"] == row["distance"] == 0
    assert rows["digest"][0, :2].tolist() == rows["digest"][1, 1::-1].tolist()
    assert rows["digest"][0, 0] != rows["digest"][0, 1]
    assert rows["digest"][:, 2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("before", "behind", "same"), [(0, 0, True), (50, 7, True), (0, -1, False), (-1, 0, False)]
)
def test_silence_around_a_sound_makes_no_other_sound(make, before, behind, same):
    one, two = sounds()
    padded = np.pad(one, (max(before, 0), max(behind, 0)))
    padded = padded[max(-before, 0) : len(padded) + min(behind, 0)]
    again = np.resize(two, len(padded))
    rows = measure(make([one, two], [padded, again]))
    assert (rows["digest"][0, 0] == rows["digest"][1, 0]) == same


def test_silence_has_no_digest_to_be_taken_for_another_silence(make):
    one, _ = sounds()
    faint = np.zeros_like(one)
    faint[7] = 32  # 32 / 2^15 is just below -60 dB
    just_heard = np.zeros_like(one)
    just_heard[7] = 33
    rows = measure(make([one, faint], [one, 0 * one], [one, just_heard]))
    assert (rows["digest"][:, 1] == 0).tolist() == [True, True, False]
    assert rows["peak"][:, 1].tolist() == [32 / 2**15, 0.0, np.float32(33 / 2**15)]


@pytest.mark.parametrize(
    ("values", "clipped"),
    [
        ([32767, 32767, 32767], 3),
        ([32766, 32766, 32766, 32766], 4),
        ([-32768, -32768, -32768, 5, 32767, 32767, 32767], 6),
        ([32767, 32767], 0),
        ([32767, 32766, 32767, 32766], 0),
        ([32767, -32768, 32767, -32768], 0),
        ([32765, 32765, 32765, 32767], 0),
    ],
)
def test_a_clipped_peak_is_a_run_at_full_scale(make, values, clipped):
    one, two = sounds()
    one[100 : 100 + len(values)] = values
    one[-len(values) :] = values  # at the very end, too
    rows = measure(make([one, 0 * two]))
    assert rows["clipped"][0].tolist() == [2 * clipped, 0, 2 * clipped]


def test_floats_beyond_full_scale_are_clipped_only_where_they_stand_still(make):
    loud = np.sin(np.arange(400) / 3) * 3
    flat = loud.clip(-2.0, 2.0)
    rows = measure(make([loud, 0 * loud], [flat, 0 * flat], subtype="FLOAT"))
    assert rows["peak"][:, 0] == pytest.approx([3.0, 2.0], rel=1e-3)
    assert rows["clipped"][0, 0] == 0
    assert rows["clipped"][1, 0] > 100


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_shortest_sounds_are_measured_too(make, length):
    short = np.full(length, 32767, dtype=np.int16)
    rows = measure(make([short, 0 * short]))
    assert rows["clipped"][0].tolist() == ([0, 0, 0] if length < 3 else [3, 0, 3])
    assert rows["peak"][0].tolist() == [np.float32(32767 / 2**15), 0, np.float32(32767 / 2**15)]
    assert (rows["digest"][0] != 0).tolist() == [True, False, False]


def test_the_distance_of_a_mixture_is_measured_where_it_wasnt_clipped(make):
    one, two = sounds()
    total = (one + two).astype(np.int16)
    total[50] += 300
    rows = measure(make([one, two], own=total))
    assert rows["distance"][0].tolist() == [0, 0, 300 / 2**15]
    one[:], two[:] = 20000, 20000
    total[:] = 32767
    rows = measure(make([one, two], own=total))
    assert rows["distance"][0].tolist() == [0, 0, 0]
    assert rows["clipped"][0].tolist() == [0, 0, 400]
    assert rows["peak"][0, 2] == np.float32(32767 / 2**15)


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_what_was_kept_and_doesnt_fit_is_measured_again(make, damage):
    store = make(list(sounds()))
    first = measure(store)
    kept = store.folder / "check.npy"
    if damage is None:
        np.save(kept, np.zeros((5, 3), first.dtype))
    else:
        kept.write_bytes(damage)
    assert np.array_equal(measure(store), first)
    assert np.array_equal(np.load(kept), first)


def test_processes_make_no_difference(make_items, convert, monkeypatch):
    store = convert(make_items())
    first = measure(store)
    (store.folder / "check.npy").unlink()
    monkeypatch.setattr(module, "SMALL", 0)
    assert np.array_equal(measure(store), first)
    assert first.shape == (13, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_store_with_samples_that_are_no_numbers_is_refused(make, bad):
    """Before the first batch: one NaN in BatchNorm's statistics stays there for good."""
    one, two = sounds()
    store = make([one, two], [two, one], subtype="FLOAT")
    samples = np.memmap(store.folder / "samples.bin", np.float32, "r+")
    samples[-5] = bad
    samples.flush()
    with pytest.raises(InputError, match="store: non-finite samples in 1 mixtures, such as 1;"):
        measure(store)
    assert not (store.folder / "check.npy").exists()


def as_defined(sound, scale):
    """Digest, peak, offset and clipped samples of a sound (T, C), all of it at once."""
    peak = np.abs(sound.astype(np.float64)).max() * scale
    clipped = 0
    for channel in sound.T.tolist():
        for value, run in groupby(channel):
            length = len(list(run))
            clipped += length if length >= 3 and abs(value) * scale >= 1 - 2 / 2**15 else 0
    (sounding,) = np.nonzero(sound.any(axis=1))
    content = sound[sounding[0] : sounding[-1] + 1].tobytes() if peak >= 1e-3 else b""
    digest = hashlib.blake2b(content, digest_size=8).digest() if content else b"\0"
    offset = float(np.abs(sound.mean(axis=0, dtype=np.float64)).max()) * scale
    return int.from_bytes(digest), np.float32(peak), offset, clipped


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block", [1, 2, 7, 64, 1000])
def test_blocks_give_what_the_whole_gives(make, monkeypatch, block, channels, subtype):
    """Clipped runs of every length across every border, and zeros inside, before and behind."""
    rng = np.random.default_rng(0)
    one, two = rng.integers(-8000, 8000, (2, channels, 400)).astype(np.int16)
    for length in range(1, 9):
        for at in (45, 97):
            one[-1, at + 20 * length :][:length] = 32767
        two[0, 17 * length :][:length] = (-32768, 32766)[length % 2]
    one[:, :5] = two[:, 120:190] = two[:, 333:] = 0
    own = (one.astype(int) + two).clip(-32768, 32767).astype(np.int16)
    own[0, 5] -= 700
    sound = (one, two, own)
    if subtype == "FLOAT":
        sound = tuple((part / 2**15).astype(np.float32) for part in sound)
    monkeypatch.setattr(module, "BLOCK", block)
    (rows,) = measure(make(list(sound[:2]), own=sound[2], subtype=subtype))
    scale = 1.0 if subtype == "FLOAT" else 2.0**-15
    for row, part in zip(rows, sound, strict=True):
        digest, peak, offset, clipped = as_defined(np.ascontiguousarray(part.T), scale)
        assert (row["peak"], row["clipped"]) == (peak, clipped)
        assert row["dc"] == pytest.approx(offset, rel=1e-6)
        assert row["digest"] == (0 if part is sound[2] else digest)
    assert rows["clipped"].min() > 10
    assert rows["distance"].tolist() == [0, 0, 700 / 2**15]


MEASURE = """
import sys
from pathlib import Path
from autoclip_sep.data.checks.statistics import signal_statistics
from autoclip_sep.data.store.reading import Store
signal_statistics(Store(Path(sys.argv[1])), progress=False)
"""


def test_an_hour_takes_the_memory_of_two_minutes(tmp_path):
    """It sounds at its ends, so that all between counts; at once, it would be 230 MB."""
    peaks = []
    for seconds in (120, 3600):
        folder = tmp_path / str(seconds)
        paths = [silence(folder / f"{name}.wav", seconds, 8000) for name in ("s1", "s2")]
        for path in paths:
            with open(path, "r+b") as file:
                for place in (44, 42 + 16000 * seconds):
                    file.seek(place)
                    file.write(b"\0\x20")
        item = Item("long", "train", tuple(map(Signal, paths)))
        store = prepare(folder / "store", 8000, [item], progress=False, jobs=1)
        peaks.append(peak_memory(MEASURE, store.folder))
        rows = measure(store)
        assert rows["digest"][0, :2].all()
    assert peaks[1] - peaks[0] < 20
