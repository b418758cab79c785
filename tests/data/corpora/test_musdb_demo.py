import shutil

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import musdb
from autoclip_sep.data.corpora._generated import generator
from autoclip_sep.data.corpora.musdb_demo import MusdbDemo, perform, write_track
from autoclip_sep.data.synthesis import instruments, songs
from autoclip_sep.errors import InputError

SMALL = {"train": 3, "valid": 1, "test": 2, "seconds": 4}


def build(folder, **more):
    places = {"root": str(folder / "corpora"), "store": str(folder / "store")}
    return MusdbDemo(**{**SMALL, **more}, **places)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    build(folder).prepare(progress=False)
    return folder


def files(folder):
    root = folder / "corpora"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.wav")}


def test_it_is_laid_out_like_musdb_hq(made):
    (root,) = (path for path in (made / "corpora").iterdir() if path.is_dir())
    assert len(list((root / "train").iterdir())) == 4
    assert len(list((root / "test").iterdir())) == 2
    for track in (*root.glob("train/*"), *root.glob("test/*")):
        assert {path.name for path in track.iterdir()} == musdb.WAVS
        headers = {soundfiles.info(path).frames for path in track.iterdir()}
        assert len(headers) == 1
        assert 3 * 44100 < headers.pop() < 5.5 * 44100


def test_the_store_holds_four_stereo_sources_and_no_mixtures(made):
    store = build(made).prepare(progress=False)
    assert [len(store.split(name)) for name in ("train", "valid", "test")] == [3, 1, 2]
    assert store.split("valid").items == ["Valid 000"]
    split = store.split("test")
    assert (store.sample_rate, split.sources, split.channels) == (44100, 4, 2)
    assert split.dtype == np.int16
    values = sum(int(store.split(name).lengths.sum()) for name in store.splits) * 4 * 2
    assert (store.folder / "samples.bin").stat().st_size == 2 * values
    path = next((made / "corpora").glob("*/test/Test 001/mixture.wav"))
    assert np.array_equal(split.load(1)[0], soundfiles.read(path)[0])


def test_the_same_settings_give_the_same_bytes(made, tmp_path):
    """Made here rather than in worker processes, and with fewer tracks about."""
    for track in build(tmp_path, train=1, test=1).tracks():
        write_track(tmp_path / "corpora" / "again", 4, 0, track)
    again = files(tmp_path)
    assert len(again) == 3 * 5
    for name, content in again.items():
        same = name.removeprefix("again/")
        assert content == next(c for n, c in files(made).items() if n.endswith(same))


@pytest.mark.parametrize("name", ["mixture", "bass"])
@pytest.mark.parametrize("size", [0, 44, 1000])
def test_what_a_power_cut_left_empty_is_made_again(tmp_path, name, size):
    (track, *_) = build(tmp_path).tracks()
    write_track(tmp_path / "corpora", 2, 0, track)
    before = files(tmp_path)
    path = tmp_path / "corpora" / track.folder / f"{name}.wav"
    path.write_bytes(path.read_bytes()[:size])
    write_track(tmp_path / "corpora", 2, 0, track)
    assert files(tmp_path) == before


def test_a_killed_one_is_continued(made, tmp_path):
    shutil.copytree(made / "corpora", tmp_path / "corpora")
    (root,) = (path for path in (tmp_path / "corpora").iterdir() if path.is_dir())
    (root / "complete.json").unlink()
    (root / "train" / "Train 001" / "mixture.wav").unlink()
    (root / "train" / "Train 001" / "bass.wav").unlink()
    kept = root / "train" / "Train 000" / "vocals.wav"
    before = kept.stat().st_mtime_ns
    store = build(tmp_path).prepare(progress=False)
    assert files(tmp_path) == files(made)
    assert kept.stat().st_mtime_ns == before
    assert store.fingerprint == build(made).prepare(progress=False).fingerprint


def test_songs_differ_and_nothing_clips(made):
    found = [content for name, content in files(made).items() if name.endswith("vocals.wav")]
    assert len(set(found)) == 6
    for path in (made / "corpora").rglob("*.wav"):
        samples, _ = soundfiles.read(path)
        assert 0.01 < np.abs(samples).max() < 0.81


def test_stems_are_balanced_and_singers_rest():
    rests = []
    for number in range(4):
        stems = perform(8.0, generator(1, number))
        loudness = {name: np.sqrt((signal**2).mean()) for name, signal in stems.items()}
        assert max(loudness.values()) < 8 * min(loudness.values())
        voice = np.abs(stems["vocals"]).max(axis=0)
        rests.append(float((voice < 1e-3 * voice.max()).mean()))
        for signal in stems.values():
            assert signal.shape[0] == 2
            assert not np.allclose(signal[0], signal[1], atol=1e-3 * np.abs(signal).max())
    assert max(rests) > 0.1


@pytest.mark.parametrize("pitch", [40.0, 52.0, 69.0])
def test_a_note_has_its_pitch(pitch):
    """The spectrum of a held note has its lines at multiples of the frequency and nowhere else."""
    note = (songs.Note(0.0, 2.0, pitch, 1.0),)
    sound = instruments.play_bass(note, 2 * instruments.RATE, generator(0))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    loudest = np.argmax(spectrum) / 2  # Hz
    assert loudest == pytest.approx(frequency * max(1, round(loudest / frequency)), abs=1.0)
    lines = np.zeros(len(spectrum), dtype=bool)
    for harmonic in np.arange(frequency, 22050, frequency):
        lines[max(0, round(2 * harmonic) - 8) : round(2 * harmonic) + 9] = True
    assert spectrum[~lines].max() < 0.02 * spectrum.max()


def test_a_song_is_in_time_and_in_key():
    for number in range(20):
        song = songs.compose(12.0, generator(2, number))
        assert 9 < song.seconds < 15
        parts = (*song.vocals, *song.bass, *song.other)
        assert {note.pitch % 12 for note in parts} <= max(
            ({(key + step) % 12 for step in scale}
             for scale in songs.SCALES.values() for key in range(12)),
            key=lambda tones: len(tones & {note.pitch % 12 for note in parts}),
        )  # fmt: skip
        assert all(0 <= note.start < song.seconds for note in parts)
        assert all(0 <= hit.start < song.seconds for hit in song.drums)
        assert song.vocals


@pytest.mark.parametrize(
    "wrong", [{"train": 0}, {"seconds": 1}, {"test": 2.5}, {"seed": -1}, {"valid": True}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MusdbDemo(**wrong)
