"""Folders in MUSDB18's layouts, with the names of real tracks and noise for music."""

import os
import shutil
import sys
from collections.abc import Callable

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles, stems
from autoclip_sep.data.corpora import musdb
from autoclip_sep.data.corpora.musdb import Musdb
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.errors import InputError

WriteStems = Callable[..., None]
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


def corpus(root, **more):
    return Musdb(root=str(root), store=str(root.parent / "store"), **more)


def test_hq_tracks_come_as_named_sources_to_the_bit(hq):
    store = corpus(hq).prepare(progress=False)
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
    store = corpus(coded).prepare(progress=False)
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
    found = corpus(hq)
    before = found.prepare(progress=False)
    for path in hq.glob("*/*/*.wav"):
        soundfiles.write(path, 1.7 * soundfiles.read(path)[0], 44100, subtype)
    store = found.prepare(progress=False)
    assert store.folder != before.folder
    split = store.split("test")
    assert split.dtype == np.int16
    track = hq / "test" / split.items[0]
    mixture, sources = split.load(0)
    for name, read, most in (("mixture", mixture, 2), ("vocals", sources[0], 0)):
        scaled = soundfiles.read(track / f"{name}.wav", dtype=np.float64)[0] * 2**15
        rounded = np.rint(scaled) if subtype == "FLOAT" else np.floor(scaled)
        assert np.abs(read * 2**15 - rounded.clip(-(2**15), 2**15 - 1)).max() <= most


def test_a_store_of_float32_made_before_is_not_taken_for_this_one(coded):
    found = corpus(coded)
    store = found.prepare(progress=False)
    settings = {"root": str(coded), "hq": False, "sources": list(musdb.SOURCES)}
    assert store.folder != folder_for(found.store, found.name, settings)


def test_a_second_look_reads_nothing(coded, monkeypatch):
    first = corpus(coded).prepare(progress=False)
    monkeypatch.setattr(stems, "blocks", None)
    monkeypatch.setattr(stems, "info", None)
    assert corpus(coded).prepare(progress=False).fingerprint == first.fingerprint


def test_some_sources_leave_the_others_in_the_mixture(hq):
    all_four = corpus(hq).prepare(progress=False).split("test")
    two = corpus(hq, sources=["bass", "vocals"], count=2).prepare(progress=False).split("test")
    mixture, sources = two.load(1)
    assert np.array_equal(sources, all_four.load(1)[1][[2, 0]])
    assert np.array_equal(mixture, all_four.load(1)[0])


def test_a_mixture_that_isnt_the_sum_is_kept(hq):
    path = hq / "test" / TRACKS["test"][0] / "mixture.wav"
    soundfiles.write(path, np.zeros((2, LENGTH)), 44100)
    split = corpus(hq).prepare(progress=False).split("test")
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


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "other", "test only", "no tracks"])
def test_a_wrong_root_is_one_line_with_what_is_there(tmp_path, kind):
    root = tmp_path / "corpus"
    if kind == "file":
        root.write_text("no folder")
    elif kind != "missing":
        root.mkdir()
        if kind == "other":
            soundfiles.write(root / "songs" / "a.wav", np.zeros(10), 44100)
        if kind == "no tracks":
            (root / "train").mkdir()
        if kind in ("test only", "no tracks"):
            soundfiles.write(root / "test" / "a" / "mixture.wav", np.zeros(10), 44100)
    with pytest.raises(InputError, match=r"corpus: .*expected: .*stem\.mp4.*; found: ") as error:
        corpus(root).prepare(progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store").exists()


def test_a_folder_without_tracks_is_named(hq, coded):
    for path in (hq / "test").iterdir():
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"not there: tracks in test; expected: .*found: "):
        corpus(hq).prepare(progress=False)
    with pytest.raises(
        InputError, match=r"tracks in train \(data\.hq=false\), tracks in test \(data\.hq=false\);"
    ):
        corpus(hq, hq=False).prepare(progress=False)
    shutil.copytree(coded / "test", hq / "test", dirs_exist_ok=True)  # of the other format only
    with pytest.raises(InputError, match=r"not there: tracks in (train|test);"):
        corpus(hq).prepare(progress=False)
    with pytest.raises(InputError, match=r"tracks in test \(data\.hq=true\);"):
        corpus(hq, hq=True).prepare(progress=False)


def test_the_root_that_was_meant_is_named(hq):
    with pytest.raises(InputError, match=rf"did you mean data\.root={hq}\?"):
        corpus(hq.parent).prepare(progress=False)
    with pytest.raises(InputError, match=rf"did you mean data\.root={hq}\?"):
        corpus(hq / "train").prepare(progress=False)
    with pytest.raises(InputError, match=r"needs data\.root=FOLDER"):
        Musdb().prepare()


def test_the_format_that_is_asked_for_must_be_there(hq, coded):
    with pytest.raises(InputError, match=r"data\.hq=false") as error:
        corpus(hq, hq=False).prepare(progress=False)
    assert "did you mean" not in str(error.value)  # this very folder
    for subset in TRACKS:
        for path in (coded / subset).iterdir():
            os.rename(path, hq / subset / path.name)
    with pytest.raises(InputError, match=r"add data\.hq=true or false"):
        corpus(hq).prepare(progress=False)
    assert corpus(hq, hq=True).prepare(progress=False).split("test").dtype == np.int16
    decoded = corpus(hq, hq=False).prepare(progress=False).split("test")
    assert decoded.lengths.min() > LENGTH  # whole blocks


def test_a_missing_stem_is_named(hq):
    (hq / "train" / VALID / "bass.wav").unlink()
    with pytest.raises(InputError, match=rf"{VALID}: bass\.wav missing"):
        corpus(hq).prepare(progress=False)


def test_stems_of_unequal_length_are_listed(hq):
    soundfiles.write(hq / "train" / VALID / "bass.wav", np.zeros((2, 777)), 44100)
    with pytest.raises(InputError, match=r"vocals\.wav 6000 x 2.* bass\.wav 777 x 2"):
        corpus(hq).prepare(progress=False)


def test_a_split_without_tracks_is_refused(hq):
    (hq / "train" / VALID).rename(hq / "train" / "Somebody - Something")
    with pytest.raises(InputError, match=r"none of the tracks for valid \(ANiMAL - Rockshow"):
        corpus(hq).prepare(progress=False)


@pytest.mark.parametrize("kind", ["hq", "coded"])
def test_other_channels_than_the_settings_say_are_refused(kind, request):
    root = request.getfixturevalue(kind)
    with pytest.raises(InputError, match=r": 2 channels, data\.channels=1$"):
        corpus(root, channels=1).prepare(progress=False)
    assert (root.parent / "store").exists() == (kind == "coded")  # seen in the header of a WAV file


def test_mono_tracks_are_read_where_the_settings_say_so(hq):
    for path in hq.rglob("*.wav"):
        soundfiles.write(path, soundfiles.read(path)[0][0], 44100)
    with pytest.raises(InputError, match=r": 1 channels, data\.channels=2$"):
        corpus(hq).prepare(progress=False)
    assert corpus(hq, channels=1).prepare(progress=False).split("test").channels == 1


def test_a_stem_file_with_fewer_streams_is_named(coded, write_stems):
    write_stems(coded / "train" / f"{VALID}.stem.mp4", [np.zeros((2, LENGTH))] * 2)
    with pytest.raises(InputError, match=rf"{VALID}\.stem\.mp4: 2 audio streams, no number 2"):
        corpus(coded).prepare(progress=False)


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
