"""Each fault is put into one corpus of random sounds, and must be all that is found."""

from dataclasses import replace

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.checks.report import check
from autoclip_sep.data.store.reading import Item, Signal

WSJ0 = ("01to030v_1.5_20ga010m_-1.5", "01to0311_2_20ga010n_-2", "447o030v_0.5_050c0109_-0.5")
LIBRI = ("19-198-0001_26-495-0003", "19-198-0002_26-495-0004", "84-121-0000_174-50-0002")
KINDS = ("s1", "s2", "noise")
MIXTURES = {"train": 4, "valid": 2, "test": 2}


@pytest.fixture
def find(convert, tmp_path):
    """Make a corpus of s1, s2 and noise, spoilt by `spoil`; what is found in it, by short paths."""

    def look(spoil=lambda samples: None, *, permute=True, expected=None, known=True, called=None):
        rng = np.random.default_rng(0)
        samples = {
            (split, n, kind): rng.integers(-9000, 9000, 500 + 10 * n).astype(np.int16)
            for split, number in MIXTURES.items()
            for n in range(number)
            for kind in KINDS
        }
        spoil(samples)
        for (split, n, kind), sound in samples.items():
            soundfiles.write(tmp_path / f"{split}/{kind}/{n}.wav", sound, 8000)
        items = []
        for split, n in dict.fromkeys(key[:2] for key in samples):
            paths = [tmp_path / f"{split}/{kind}/{n}.wav" for kind in KINDS]
            name = (called or {}).get(f"{split}{n}", f"{split}{n}")
            items.append(Item(name, split, tuple(map(Signal, paths, (True, True, False)))))
        store = convert(items)
        store.files = store.files if known else ()
        report = check(store, permute=permute, expected=expected, progress=False)
        return [
            replace(found, places=[place.replace(f"{tmp_path}/", "") for place in found.places])
            for found in report.problems
        ]

    return look


def put(*changes):
    """Overwrite sounds by values, or by other sounds, cut or padded to their length."""

    def spoil(samples):
        for split, n, kind, value in changes:
            target = samples[split, n, kind]
            if isinstance(value, tuple):
                source = samples[value]
                target[:] = 0
                target[: len(source)] = source[: len(target)]
            else:
                target[:] = value

    return spoil


def test_a_good_corpus_has_nothing_to_tell(find):
    assert find(expected={**MIXTURES, "test": None}) == []


def test_a_source_in_train_and_test_is_found_under_any_name(find):
    (found,) = find(put(("test", 1, "s2", ("train", 0, "s1"))))  # as s2, and with zeros behind it
    assert str(found) == "1 source shared by train and test"
    assert found.places == ["test/s2/1.wav = train/s1/0.wav"]
    assert (found.serious, found.leaks) == (True, True)


@pytest.mark.parametrize(
    ("test", "train"), [("447o030v_3_20ga010m_-3", WSJ0), ("84-121-0000_26-495-0003", LIBRI)]
)
def test_an_utterance_at_another_level_is_found_by_the_mixtures_names(find, test, train):
    called = {f"train{n}": name for n, name in enumerate(train)} | {"test1": test}
    (found,) = find(put(("test", 1, "s2", ("train", 0, "s2"))), called=called)
    assert str(found) == "2 sources shared by train and test"
    utterance = test.split("_")[0]
    assert found.places == [
        "test/s2/1.wav = train/s2/0.wav",  # the same samples: told once
        f"test/s1/1.wav = train/s1/2.wav, utterance {utterance} by their names",
    ]
    assert (found.serious, found.leaks) == (True, True)


def test_utterances_of_their_own_are_no_finding(find):
    called = dict(zip(("train0", "valid0", "test0"), WSJ0, strict=True))
    assert find(called=called) == []
    assert find(called=dict(zip(("train0", "valid0", "test0"), LIBRI, strict=True))) == []
    assert find(called={"train1": "1_2", "test1": "1_2_3", "valid1": "speaker1_1_speaker2_2"}) == []


def test_of_a_name_with_more_utterances_than_sources_the_first_count(find):
    """WHAM!'s single speaker is the first one of the name."""
    valid, test = "440c0201_1_447o030v_0_050c0109_-1", "440c0202_1_440c0203_0_447o030v_-1"
    (found,) = find(called={"train0": WSJ0[2], "valid0": valid, "test0": test})
    assert str(found) == "1 source shared by train and valid"


def test_a_source_shared_with_valid_is_told_and_no_leak(find):
    found = find(put(("valid", 1, "s1", ("train", 0, "s1")), ("test", 0, "s1", ("valid", 0, "s2"))))
    assert [str(one) for one in found] == [
        "1 source shared by train and valid",
        "1 source shared by valid and test",
    ]
    assert found[1].places == ["test/s1/0.wav = valid/s2/0.wav"]
    assert not any(one.serious or one.leaks for one in found)


def test_noise_shared_by_train_and_test_is_told_as_noise(find):
    (found,) = find(
        put(
            ("test", 0, "noise", ("train", 0, "noise")),
            ("test", 1, "noise", ("train", 0, "s1")),
            ("test", 1, "s1", ("train", 0, "noise")),
        )
    )
    assert str(found) == "3 noises shared by train and test"
    assert found.places == [
        "test/noise/0.wav = train/noise/0.wav",
        "test/s1/1.wav = train/noise/0.wav",
        "test/noise/1.wav = train/s1/0.wav",
    ]
    assert not found.serious


def test_a_source_that_is_noise_elsewhere_in_training_is_a_shared_source_first(find):
    found = find(
        put(
            ("train", 1, "noise", ("train", 0, "s1")),
            ("test", 0, "s1", ("train", 0, "s1")),
        )
    )
    assert [str(one) for one in found] == ["1 source shared by train and test"]
    assert found[0].places == ["test/s1/0.wav = train/s1/0.wav"]


@pytest.mark.parametrize("permute", [True, False])
def test_silent_sources_are_a_fault_only_where_sources_are_alike(find, permute):
    faint = 31 * (np.arange(510) % 2)
    spoil = put(("train", 0, "s1", 0), ("test", 1, "s1", faint), ("test", 0, "s2", 0))
    (found,) = find(spoil, permute=permute)
    assert str(found) == "3 silent sources"
    assert found.places == [
        "train/s1/0.wav: nothing but zeros",
        "test/s2/0.wav: nothing but zeros",
        "test/s1/1.wav: its peak is -60 dBFS",
    ]
    assert found.serious == permute


def test_a_silent_mixture_is_a_fault_everywhere(find):
    silent = [(*where, kind, 0) for where in (("train", 1), ("valid", 0)) for kind in KINDS]
    told = {str(one): one for one in find(put(*silent), permute=False)}
    assert list(told) == ["4 silent sources", "2 silent noises", "2 silent mixtures"]
    assert [one.serious for one in told.values()] == [False, False, True]
    assert told["2 silent mixtures"].places == [
        "train train1: nothing but zeros",
        "valid valid0: nothing but zeros",
    ]


def test_clipped_sounds_are_told_with_how_much(find):
    def spoil(samples):
        samples["train", 2, "s2"][100:107] = 32767

    sources, *mixtures = find(spoil)
    assert sources.places == ["train/s2/2.wav: 7 samples at full scale"]
    assert str(sources) == "1 clipped source"
    assert not sources.serious
    assert mixtures == []  # the sum goes on above full scale


def test_a_mean_far_from_zero_is_told(find):
    def spoil(samples):
        samples["train", 1, "s1"] += np.int16(0.06 * 2**15)
        samples["test", 1, "noise"] -= np.int16(0.07 * 2**15)

    found = [one for one in find(spoil) if "mixture" not in one.what]
    assert [str(one) for one in found] == ["1 source with a DC offset", "1 noise with a DC offset"]
    assert found[0].places == ["train/s1/1.wav: its mean is 0.06 of full scale"]
    assert found[1].places == ["test/noise/1.wav: its mean is 0.07 of full scale"]


def test_a_sound_cannot_be_two_sources_of_a_mixture(find):
    (found,) = find(put(("train", 3, "s2", ("train", 3, "s1"))))
    assert str(found) == "1 mixture with the same signal as two sources"
    assert found.places == ["train train3"]
    assert found.serious


def test_a_mixture_under_two_names_is_told(find):
    (found,) = find(put(*(("train", 3, kind, ("train", 1, kind)) for kind in KINDS)))
    assert str(found) == "1 duplicate of another mixture"
    assert found.places == ["train train3 = train train1"]
    assert not found.serious


def test_other_numbers_of_mixtures_than_expected_are_told(find):
    (found,) = find(expected={"train": 20000, "valid": 2, "test": None})
    assert str(found) == "1 split with more or fewer mixtures than expected"
    assert found.places == ["train: 4 mixtures, 20,000 expected"]
    assert not found.serious


def test_without_its_files_a_sound_is_named_by_mixture_and_number(find):
    (found,) = find(put(("test", 1, "s2", ("train", 0, "s1"))), known=False)
    assert found.places == ["test test1, signal 2 = train train0, signal 1"]


def test_a_sound_of_several_in_a_file_is_named_by_its_stream(convert, tmp_path):
    soundfiles.write(tmp_path / "a.wav", np.zeros(50), 8000)
    items = [Item("a", "train", (Signal(tmp_path / "a.wav"),), tmp_path / "a.wav")]
    store = convert(items)
    store.files = [replace(items[0], signals=(Signal("a.stem.mp4", stream=4),))]
    source, mixture = check(store, progress=False).problems
    assert source.places == ("a.stem.mp4, stream 4: nothing but zeros",)
    assert mixture.places == (f"{tmp_path}/a.wav: nothing but zeros",)
