"""A folder without splits: what is drawn, and what stays together."""

from collections import Counter

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora.folder import MixtureFolder
from autoclip_sep.errors import InputError

NAMES = [f"song{song} - {part}" for song in range(10) for part in range(4)]


def write(root, names):
    rng = np.random.default_rng(0)
    for name in names:
        sources = 0.1 * rng.standard_normal((2, 1, 900)).clip(-3, 3)
        for folder, samples in {"mix": sources.sum(0), "s1": sources[0], "s2": sources[1]}.items():
            soundfiles.write(root / folder / f"{name}.wav", samples, 8000)
    return root


def drawn(names, **settings):
    return MixtureFolder(**settings)._drawn(names)


def test_every_mixture_is_in_one_split_and_the_shares_are_met():
    counts = Counter(drawn(NAMES).values())
    assert counts == {"train": 32, "valid": 4, "test": 4}
    assert Counter(drawn(NAMES, shares={"train": 1, "valid": 1, "test": 0}).values()) == {
        "train": 20, "valid": 20,
    }  # fmt: skip


def test_the_seed_draws_and_nothing_else():
    assert drawn(NAMES) == drawn(NAMES[::-1])
    assert drawn(NAMES, seed=1) != drawn(NAMES)


def test_most_mixtures_of_a_corpus_that_grows_stay_where_they_were():
    before, after = drawn(NAMES), drawn([*NAMES, "song10 - 0"])
    assert sum(before[name] != after[name] for name in NAMES) <= 2


@pytest.mark.parametrize("together", [r"^(song\d+)", r"^song\d+"])
def test_a_song_stays_in_one_split(together):
    split_of = drawn(NAMES, together=together)
    for song in range(10):
        assert len({split_of[f"song{song} - {part}"] for part in range(4)}) == 1
    assert Counter(split_of.values()) == {"train": 32, "valid": 4, "test": 4}


def test_mixtures_in_one_folder_stay_together():
    split_of = drawn([f"speaker{n}/{k}" for n in range(10) for k in range(3)])
    for n in range(10):
        assert len({split_of[f"speaker{n}/{k}"] for k in range(3)}) == 1


SMALLER = "or make smaller groups with data.corpus.together"


@pytest.mark.parametrize(
    ("songs", "settings", "advice"),
    [
        (1, {}, f"add mixtures, leave the test set out (data.corpus.shares.test=0), {SMALLER}"),
        (1, {"shares": {"train": 1, "valid": 1, "test": 0}}, f"add mixtures, {SMALLER}"),
        (
            6,
            {},
            f"set data.corpus.shares.valid=0.17 or more, try another data.corpus.seed, {SMALLER}",
        ),
    ],
)
def test_too_few_groups_for_all_splits_are_refused_with_what_to_do(songs, settings, advice):
    names = NAMES[: 4 * songs]
    with pytest.raises(InputError) as refused:
        drawn(names, together=r"^(song\d+)", **settings)
    found = f"{4 * songs} mixtures in {songs} groups leave valid empty: "
    assert str(refused.value) == found + advice
    if songs == 6:
        shares = {"train": 0.8, "valid": 0.17, "test": 0.1}
        assert set(drawn(names, together=r"^(song\d+)", shares=shares).values()) == {
            "train", "valid", "test",
        }  # fmt: skip


def test_an_expression_that_matches_nothing_is_refused():
    with pytest.raises(InputError, match=r"together=\^album matches no name, such as "):
        drawn(NAMES, together="^album")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": {"train": 1, "valid": 0, "test": 0}}, "train and valid must be above 0"),
        ({"shares": {"train": 1}}, "must be numbers from 0"),
        ({"shares": {"train": 1, "valid": -1, "test": 0}}, "numbers from 0"),
        ({"together": "("}, "data.corpus.together="),
        ({"mixture": "{split}/{item}.wav"}, "with {item} in it, such as mix/{item}.wav"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError) as refused:
        MixtureFolder(**settings)
    assert message in str(refused.value)


def test_a_folder_becomes_a_store(tmp_path):
    root = write(tmp_path / "sound", NAMES)
    corpus = MixtureFolder(root=str(root), store=str(tmp_path / "store"), together=r"^(song\d+)")
    store = corpus.prepare(progress=False)
    assert [len(store.split(split)) for split in ("train", "valid", "test")] == [32, 4, 4]
    with pytest.raises(InputError, match="not there: mix, s1, s2"):
        MixtureFolder(root=str(tmp_path)).prepare(progress=False)
    (root / "s1" / f"{NAMES[0]}.wav").unlink()
    with pytest.raises(InputError, match=r"1 of 40 files .* have no counterpart"):
        corpus.prepare(progress=False)
