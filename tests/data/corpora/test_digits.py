from pathlib import Path

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import digits
from autoclip_sep.data.corpora.digits import Digits
from autoclip_sep.data.creation import mixing
from autoclip_sep.errors import InputError

SMALL = {"train": 8, "valid": 3, "test": 4, "utterances": 5, "shortest": 2, "longest": 3}
SPEAKERS = ("ann", "bob", "zoe")


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 1)


@pytest.fixture
def root(tmp_path):
    """Three speakers, two digits, takes 0 to 11; each recording is noise of its own."""
    rng = np.random.default_rng(0)
    for speaker in SPEAKERS:
        for digit in (3, 7):
            for take in range(12):
                noise = rng.uniform(-0.3, 0.3, int(rng.integers(1500, 2500)))
                soundfiles.write(tmp_path / f"fsdd/{digit}_{speaker}_{take}.wav", noise, 8000)
    return tmp_path / "fsdd"


def build(root, tmp_path, **settings):
    return Digits(
        root=str(root),
        corpora=str(tmp_path / "corpora"),
        store=str(tmp_path / "store"),
        **{**SMALL, **settings},
    )


def recordings_in(signal, root):
    """The recordings that an utterance is made of, found by their samples."""
    text = signal.astype(np.int16).tobytes()
    return [
        path.name
        for path in sorted(root.glob("*.wav"))
        if soundfiles.read(path, dtype=np.int16)[0][0].tobytes() in text
    ]


def test_test_takes_are_held_out(root, tmp_path):
    store = build(root, tmp_path).prepare(progress=False)
    assert [len(store.split(name)) for name in ("train", "valid", "test")] == [8, 3, 4]
    (corpus,) = (tmp_path / "corpora").glob("digits-????????")
    for split, takes in (("test", range(5)), ("valid", range(5, 10)), ("train", range(10, 12))):
        for speaker in SPEAKERS:
            utterances = sorted((corpus / "digits" / split / speaker).iterdir())
            assert len(utterances) == 5
            for path in utterances:
                signal, _ = soundfiles.read(path, dtype=np.int16)
                used = recordings_in(signal[0], root)
                said = path.stem.split("-")[1]
                assert 2 <= len(said) <= 3
                assert {name.split("_")[0] for name in used} == set(said)
                assert {name.split("_")[1] for name in used} == {speaker}
                assert {int(name[:-4].split("_")[2]) for name in used} <= set(takes)


def test_mixtures_are_of_two_speakers_at_the_lists_levels(root, tmp_path):
    store = build(root, tmp_path).prepare(progress=False)
    (corpus,) = (tmp_path / "corpora").glob("digits-????????")
    recipes = mixing.read_list(corpus / "mix_2_spk_tr.txt")
    split = store.split("train")
    assert split.items == [recipe.name for recipe in recipes]
    for i, recipe in enumerate(recipes):
        first, second = (Path(path).parent.name for path in recipe.utterances)
        assert first != second
        assert 0 <= float(recipe.gains[0]) <= 2.5
        assert float(recipe.gains[1]) == -float(recipe.gains[0])
        mixture, sources = split.load(i)
        assert np.abs(mixture).max() <= 0.9 + 1e-4
        # Noise at equal active level: what differs is the gain, but for pauses and the cut.
        ratio = 10 * np.log10(np.mean(sources[0] ** 2) / np.mean(sources[1] ** 2))
        assert ratio == pytest.approx(2 * float(recipe.gains[0]), abs=2.5)


def test_it_is_made_once_and_the_same_every_time(root, tmp_path, monkeypatch):
    first = build(root, tmp_path).prepare(progress=False)
    other = build(root, tmp_path / "other").prepare(progress=False)
    assert other.fingerprint == first.fingerprint
    assert build(root, tmp_path, seed=1).prepare(progress=False).fingerprint != first.fingerprint
    monkeypatch.setattr(digits, "write_utterances", None)
    monkeypatch.setattr(soundfiles, "read", None)
    assert build(root, tmp_path).prepare(progress=False).fingerprint == first.fingerprint


@pytest.mark.parametrize("size", [0, 44, 1000])
def test_what_a_power_cut_left_empty_is_made_again(root, tmp_path, size):
    store = build(root, tmp_path).prepare(progress=False)
    (corpus,) = (tmp_path / "corpora").glob("digits-????????")
    path = min(corpus.glob("digits/train/ann/*.wav"))
    before = path.read_bytes()
    path.write_bytes(before[:size])
    (corpus / "complete.json").unlink()
    assert build(root, tmp_path).prepare(progress=False).fingerprint == store.fingerprint
    assert path.read_bytes() == before


def test_other_recordings_are_another_corpus(root, tmp_path):
    first = build(root, tmp_path).prepare(progress=False)
    soundfiles.write(root / "3_ann_11.wav", np.random.default_rng(9).uniform(-0.3, 0.3, 2000), 8000)
    assert build(root, tmp_path).prepare(progress=False).fingerprint != first.fingerprint


def test_the_datasets_own_folder_may_be_named(root, tmp_path):
    (tmp_path / "clone").mkdir()
    root.rename(tmp_path / "clone/recordings")
    assert len(digits.find(tmp_path / "clone")) == 72


@pytest.mark.parametrize("root_setting", [None, ""])
def test_no_folder_says_which_setting(root_setting):
    with pytest.raises(InputError, match=r"needs data\.root=FOLDER with .*\{digit\}_\{speaker\}"):
        Digits(root=root_setting).prepare()


def test_a_wrong_folder_says_what_was_tried_wanted_and_found(tmp_path):
    (tmp_path / "notes.txt").touch()
    for path, found in (
        (tmp_path, "found: 1 entries, such as notes.txt"),
        (tmp_path / "none", "found: no such folder"),
        (tmp_path / "notes.txt", "found: a file"),
    ):
        with pytest.raises(InputError) as caught:
            build(path, tmp_path / "made").prepare(progress=False)
        message = str(caught.value)
        for part in (str(path), "7_george_12.wav", found):
            assert part in message
        assert "\n" not in message
    assert not (tmp_path / "made").exists()


def test_missing_takes_are_named(root, tmp_path):
    for path in root.glob("*_zoe_*.wav"):
        if int(path.stem.split("_")[2]) < 5:
            path.unlink()
    with pytest.raises(InputError, match="zoe has no takes from 0 to 4, needed for test"):
        build(root, tmp_path).prepare(progress=False)
    for path in root.glob("*_[bz]o[be]_*.wav"):
        path.unlink()
    with pytest.raises(InputError, match=r"one speaker only \(ann\)"):
        build(root, tmp_path).prepare(progress=False)


def test_settings_that_cant_be_are_refused():
    with pytest.raises(InputError, match="train=0: must be an integer from 1"):
        Digits(train=0)
    with pytest.raises(InputError, match="longest=3: below shortest=5"):
        Digits(longest=3)
    with pytest.raises(InputError, match=r"longest=6\.5: must be an integer"):
        Digits(longest=6.5)


def test_the_real_recordings(fsdd, tmp_path):
    store = build(fsdd, tmp_path, shortest=5, longest=8).prepare(progress=False)
    (corpus,) = (tmp_path / "corpora").glob("digits-????????")
    speakers = {path.name for path in (corpus / "digits/test").iterdir()}
    assert speakers == {"george", "jackson", "lucas", "nicolas", "theo", "yweweler"}
    assert 1.0 < store.split("test").lengths.mean() / 8000 < 6.0


def test_a_speaker_whose_name_leads_elsewhere_is_refused(root, tmp_path):
    for path in root.glob("*_ann_*.wav"):
        path.rename(path.with_name(path.name.replace("ann", "..")))
    with pytest.raises(InputError, match=r"a speaker: '\.\.' can't name a file or folder"):
        build(root, tmp_path).prepare(progress=False)
    assert not list(tmp_path.glob("corpora/*/digits"))
