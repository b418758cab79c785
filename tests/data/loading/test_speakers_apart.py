import numpy as np
import pytest

from autoclip_sep.data.loading.speakers_apart import keep_apart
from autoclip_sep.errors import InputError


def are_apart(groups, speakers):
    return all(len(set(row)) == len(row) for row in speakers[groups].tolist())


def shuffled(own, seed):
    """Speakers of mixtures (groups, size), numbered row by row, and an order of all of them."""
    speakers = np.array(own).ravel()
    order = np.random.default_rng(seed).permutation(len(speakers))
    return order.reshape(np.shape(own)), speakers


MIXTURES = {
    "two, many speakers": [(n % 25, (n + 1 + n // 25) % 25) for n in range(300)],
    "three, few speakers": [(n % 4, (n + 1) % 4, (n + 2) % 4) for n in range(60)],
    "one host in all": [(0, 1 + n % 5) for n in range(40)],
    "the same two in all": [(0, 1)] * 30,
    "the same three in all": [(0, 1, 2)] * 20,
    "one mixture": [(0, 1)],
    "one speaker in each": [(n % 3,) for n in range(9)],
}


@pytest.mark.parametrize("own", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.parametrize("seed", range(2))
def test_speakers_are_apart_and_each_utterance_is_used_once(own, seed):
    groups, speakers = shuffled(own, seed)
    before = groups.copy()
    after = keep_apart(groups, speakers)
    assert are_apart(after, speakers)
    assert sorted(after.ravel()) == list(range(len(speakers)))
    assert np.array_equal(groups, before)
    assert np.array_equal(after, keep_apart(groups, speakers))


def test_what_is_apart_stays_as_it_was():
    groups, speakers = shuffled(MIXTURES["two, many speakers"], 1)
    after = keep_apart(groups, speakers)
    assert 0 < (after != groups).any(axis=1).sum() < 60  # of 300: about 12 had to change
    assert np.array_equal(keep_apart(after, speakers), after)


def test_too_many_utterances_of_one_speaker_are_refused():
    with pytest.raises(InputError, match="a speaker has 3 utterances in 2 mixtures"):
        keep_apart(np.arange(4).reshape(2, 2), np.array([0, 0, 0, 1]))
