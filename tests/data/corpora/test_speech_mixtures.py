import re
from collections import Counter

import numpy as np
import pytest

from autoclip_sep.data.corpora._generated import generator
from autoclip_sep.data.corpora._speech_mixtures import mixing_list
from autoclip_sep.errors import InputError

FILES = [[f"wsj0/si_tr_s/{s}/{s}u{n}.wav" for n in range(6)] for s in "abcde"]


def make(number, seed=0):
    return mixing_list(FILES, number, generator(seed))


def test_mixtures_are_of_different_speakers_and_as_many_as_asked():
    recipes = make(200)
    assert len({recipe.name for recipe in recipes}) == 200
    for recipe in recipes:
        first, second = (path.split("/")[2] for path in recipe.utterances)
        assert first != second


def test_gains_are_opposite_and_within_two_and_a_half_decibels():
    gains = []
    for recipe in make(500):
        first, second = recipe.gains
        assert re.fullmatch(r"\d(\.\d{1,5})?|0\.\d+|\d\.\d+e-\d+", first)
        assert float(first) == -float(second)
        gains.append(float(first))
    assert 0 <= min(gains) < 0.1
    assert 2.4 < max(gains) <= 2.5
    assert np.mean(gains) == pytest.approx(1.25, abs=0.1)


def test_utterances_are_used_about_equally():
    uses = Counter(path for recipe in make(300) for path in recipe.utterances)
    assert set(uses) == {file for files in FILES for file in files}
    assert max(uses.values()) - min(uses.values()) <= 8


def test_lists_follow_from_the_generator():
    assert make(50) == make(50)
    assert make(50) != make(50, seed=1)


def test_uneven_speakers_are_no_trap():
    """One speaker with most of the utterances: rounds end early, the list is still made."""
    files = [["a/a0.wav"], [f"b/b{n}.wav" for n in range(50)]]
    recipes = mixing_list(files, 40, generator(0))
    assert len(recipes) == 40
    with pytest.raises(InputError, match="two speakers"):
        mixing_list([["a/a0.wav"], []], 1, generator(0))
