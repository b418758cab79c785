"""Folders in MUSDB18's layouts, with the names of real tracks and noise for music."""

import os
import shutil
import sys

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles, stems
from autoclip_sep.data.corpora import musdb
from autoclip_sep.data.corpora.musdb import Musdb
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.errors import InputError

TRACKS = {
    "train": ("A Classic Education - NightOwl", "Actions - One Minute Smile", "ANiMAL - Clinic A"),
    "test": ("Al James - Schoolboy Facination", "AM Contra - Heart Peripheral"),
}
VALID = "Actions - One Minute Smile"
LENGTH = 6000


def sounds(name):
    """The four sources (2, LENGTH) of a track; low noise, which AAC codes well."""
    rng = np.random.default_rng(len(name))
    noise = rng.uniform(-1, 1, (4, 2, LENGTH + 39))
    smooth = np.stack([[np.convolve(c, np.ones(40) / 40, "valid") for c in pair] for pair in noise])
    return dict(zip(("vocals", "drums", "bass", "other"), 0.4 * smooth, strict=True))


def write_hq(root):
    for subset, names in TRACKS.items():
        for name in names:
            stored = {key: soundfiles.quantise(sound) for key, sound in sounds(name).items()}
            for key, sound in stored.items():
                soundfiles.write(root / subset / name / f"{key}.wav", sound, 44100)
            mixture = sum(sound.astype(int) for sound in stored.values())
            soundfiles.write(root / subset / name / "mixture.wav", mixture.astype(np.int16), 44100)
    (root / "train" / ".hidden").mkdir()
    (root / "train" / "notes").mkdir()
    return root


@pytest.fixture
def hq(tmp_path):
    return write_hq(tmp_path / "musdb18hq")


@pytest.fixture
def coded(tmp_path, write_stems):
    root = tmp_path / "musdb18"
    for subset, names in TRACKS.items():
        for name in names:
            parts = sounds(name)
            order = [parts[key] for key in ("drums", "bass", "other", "vocals")]
            write_stems(root / subset / f"{name}.stem.mp4", [sum(order), *order])
    (root / "train" / "._hidden.stem.mp4").write_bytes(b"")
    return root


def read(root, **more):
    """The store of a folder."""
    return Musdb(root=str(root), store=str(root.parent / "store"), **more).prepare(progress=False)


def test_hq_tracks_come_as_named_sources_to_the_bit(hq):
    store = read(hq)
    assert (store.sample_rate, store.splits) == (44100, ("train", "valid", "test"))
    assert store.split("train").items == [TRACKS["train"][0], TRACKS["train"][2]]
    assert store.split("valid").items == [VALID]
    assert store.split("test").items == sorted(TRACKS["test"])
    for name in store.splits:
        split = store.split(name)
        assert (split.sources, split.channels, split.dtype) == (4, 2, np.int16)
        for i, item in enumerate(split.items):
            mixture, sources = split.load(i)
            expected = [soundfiles.quantise(sound) / 2**15 for sound in sounds(item).values()]
            assert np.array_equal(sources, np.stack(expected).astype(np.float32))
            assert np.array_equal(mixture, sources.sum(axis=0))


def as_16_bits(path, length):
    """The five streams as ffmpeg makes 16 bits of them: to the nearest, clipped, not dithered."""
    decoded = [np.concatenate(list(stems.blocks(path, n, frames=length)), 1) for n in range(5)]
    return [np.rint(part * 2**15).clip(-(2**15), 2**15 - 1) / 2**15 for part in decoded]


def test_stems_come_with_16_bits_as_the_package_musdb_reads_them(coded, write_stems):
    loud = [8 * part for part in sounds("loud").values()]
    write_stems(coded / "train" / f"{VALID}.stem.mp4", [sum(loud), *loud])
    store = read(coded)
    assert store.split("valid").items == [VALID]
    for name in store.splits:
        split = store.split(name)
        assert (split.sources, split.channels, split.dtype) == (4, 2, np.int16)
        for i, item in enumerate(split.items):
            path = coded / ("test" if name == "test" else "train") / f"{item}.stem.mp4"
            mixture, sources = split.load(i)
            decoded = as_16_bits(path, int(split.lengths[i]))
            assert np.array_equal(mixture, decoded[0])  # its own, not the sum of the others
            assert np.array_equal(sources, np.stack([decoded[n] for n in (4, 1, 2, 3)]))
            assert not np.array_equal(mixture, sources.sum(axis=0))
            if item == VALID:
                assert mixture.max() == 1 - 2.0**-15
                continue
            for sound, source in zip(sounds(item).values(), sources, strict=True):
                assert np.corrcoef(sound.ravel(), source[:, :LENGTH].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_24"])
def test_wavs_of_more_bits_come_with_16_as_well(hq, subtype):
    """The package musdb has ffmpeg read them so, too: a copy of the stems decoded to floats."""
    before = read(hq)
    for path in hq.glob("*/*/*.wav"):
        soundfiles.write(path, 1.7 * soundfiles.read(path)[0], 44100, subtype)
    store = read(hq)
    assert store.folder != before.folder
    split = store.split("test")
    assert split.dtype == np.int16
    track = hq / "test" / split.items[0]
    mixture, sources = split.load(0)
    for name, heard, most in (("mixture", mixture, 2), ("vocals", sources[0], 0)):
        scaled = soundfiles.read(track / f"{name}.wav", dtype=np.float64)[0] * 2**15
        rounded = np.rint(scaled) if subtype == "FLOAT" else np.floor(scaled)
        assert np.abs(heard * 2**15 - rounded.clip(-(2**15), 2**15 - 1)).max() <= most


def test_a_store_of_float32_made_before_is_not_taken_for_this_one(coded):
    store = read(coded)
    settings = {"root": str(coded), "hq": False, "sources": list(musdb.SOURCES)}
    assert store.folder != folder_for(store.folder.parent, "musdb18", settings)


def test_a_second_look_reads_nothing(coded, monkeypatch):
    first = read(coded)
    monkeypatch.setattr(stems, "blocks", None)
    monkeypatch.setattr(stems, "info", None)
    assert read(coded).fingerprint == first.fingerprint


def test_some_sources_leave_the_others_in_the_mixture(hq):
    all_four = read(hq).split("test")
    two = read(hq, sources=["bass", "vocals"], count=2).split("test")
    mixture, sources = two.load(1)
    assert np.array_equal(sources, all_four.load(1)[1][[2, 0]])
    assert np.array_equal(mixture, all_four.load(1)[0])


def test_a_mixture_that_isnt_the_sum_is_kept(hq):
    path = hq / "test" / TRACKS["test"][0] / "mixture.wav"
    soundfiles.write(path, np.zeros((2, LENGTH)), 44100)
    split = read(hq).split("test")
    index = split.items.index(TRACKS["test"][0])
    assert not split.load(index)[0].any()
    assert split.load(1 - index)[0].any()


def test_the_official_validation_tracks_are_read_without_ffmpeg(monkeypatch):
    monkeypatch.setenv("PATH", "")
    names = musdb.validation_tracks()
    assert len(set(names)) == 14
    assert VALID in names
    assert "musdb" not in sys.modules or hasattr(sys.modules["musdb"], "DB")
    monkeypatch.setattr(musdb.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install musdb"):
        musdb.validation_tracks()


@pytest.mark.parametrize("there", [[], ["songs/a.wav"], ["test/a/mixture.wav"]])
def test_a_wrong_root_is_one_line_with_what_is_there(tmp_path, there):
    root = tmp_path / "corpus"
    for path in there:
        soundfiles.write(root / path, np.zeros(10), 44100)
    with pytest.raises(InputError, match=r"corpus: .*expected: .*stem\.mp4.*; found: ") as error:
        read(root)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store").exists()


def test_a_folder_without_tracks_is_named(hq, coded):
    for path in (hq / "test").iterdir():
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"not there: tracks in test; expected: .*found: "):
        read(hq)
    with pytest.raises(
        InputError, match=r"tracks in train \(data\.hq=false\), tracks in test \(data\.hq=false\);"
    ):
        read(hq, hq=False)
    shutil.copytree(coded / "test", hq / "test", dirs_exist_ok=True)  # of the other format only
    with pytest.raises(InputError, match=r"not there: tracks in (train|test);"):
        read(hq)
    with pytest.raises(InputError, match=r"tracks in test \(data\.hq=true\);"):
        read(hq, hq=True)


def test_the_root_that_was_meant_is_named(hq):
    for near in (hq.parent, hq / "train"):
        with pytest.raises(InputError, match=rf"did you mean data\.root={hq}\?"):
            read(near)
    with pytest.raises(InputError, match=r"needs data\.root=FOLDER"):
        Musdb().prepare()


def test_the_format_that_is_asked_for_must_be_there(hq, coded):
    with pytest.raises(InputError, match=r"data\.hq=false") as error:
        read(hq, hq=False)
    assert "did you mean" not in str(error.value)  # this very folder
    for subset in TRACKS:
        for path in (coded / subset).iterdir():
            os.rename(path, hq / subset / path.name)
    with pytest.raises(InputError, match=r"add data\.hq=true or false"):
        read(hq)
    assert read(hq, hq=True).split("test").dtype == np.int16
    decoded = read(hq, hq=False).split("test")
    assert decoded.lengths.min() > LENGTH  # whole blocks


def test_a_missing_stem_is_named(hq):
    (hq / "train" / VALID / "bass.wav").unlink()
    with pytest.raises(InputError, match=rf"{VALID}: bass\.wav missing"):
        read(hq)


def test_a_split_without_tracks_is_refused(hq):
    (hq / "train" / VALID).rename(hq / "train" / "Somebody - Something")
    with pytest.raises(InputError, match=r"none of the tracks for valid \(ANiMAL - Rockshow"):
        read(hq)


@pytest.mark.parametrize("kind", ["hq", "coded"])
def test_other_channels_than_the_settings_say_are_refused(kind, request):
    root = request.getfixturevalue(kind)
    with pytest.raises(InputError, match=r": 2 channels, data\.channels=1$"):
        read(root, channels=1)
    assert (root.parent / "store").exists() == (kind == "coded")  # seen in the header of a WAV file


def test_mono_tracks_are_read_where_the_settings_say_so(hq):
    for path in hq.rglob("*.wav"):
        soundfiles.write(path, soundfiles.read(path)[0][0], 44100)
    with pytest.raises(InputError, match=r": 1 channels, data\.channels=2$"):
        read(hq)
    assert read(hq, channels=1).split("test").channels == 1


def test_a_stem_file_with_fewer_streams_is_named(coded, write_stems):
    write_stems(coded / "train" / f"{VALID}.stem.mp4", [np.zeros((2, LENGTH))] * 2)
    with pytest.raises(InputError, match=rf"{VALID}\.stem\.mp4: 2 audio streams, no number 2"):
        read(coded)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sources": ["vocals", "guitar"], "count": 2}, "some of vocals, drums"),
        ({"sources": [], "count": 0}, "some of vocals, drums"),
        ({"sources": ["bass", "bass"], "count": 2}, "must be data.sources=2"),
        ({"sources": ["bass"]}, "must be data.sources=4"),
        ({"hq": "yes"}, "data.hq=yes: must be true"),
    ],
)
def test_impossible_settings_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Musdb(root="anywhere", **wrong)
