"""Groups of different speakers from any draw of their utterances."""

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.errors import InputError


def keep_apart(groups: NDArray[np.int64], speakers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups (groups, size) of utterances, exchanged so that no speaker is twice in a group.

    speakers: (utterances,), of each. No group changes that has different speakers and isn't needed
    for another; which one is needed depends on the groups alone. Raises InputError where a speaker
    has more utterances than there are groups.
    """
    groups = groups.copy()
    counts = np.bincount(speakers[groups].ravel())
    if counts.max() > len(groups):
        raise InputError(
            f"a speaker has {counts.max()} utterances in {len(groups)} mixtures: they can't be kept"
            " apart"
        )
    sorted_speakers = np.sort(speakers[groups], axis=1)
    for group in np.flatnonzero((np.diff(sorted_speakers, axis=1) == 0).any(axis=1)).tolist():
        while _repeats(speakers[groups[group]]):
            _exchange(groups, speakers, group)
    return groups


def _exchange(groups: NDArray[np.int64], speakers: NDArray[np.int64], group: int) -> None:
    """Exchange one utterance so that speakers repeat less, both groups counted together.

    There always is one: the repeated speaker is missing in some group, which either repeats
    another, or has one that this group hasn't.
    """
    own = groups[group]
    who = speakers[own].tolist()
    place = next(n for n, speaker in enumerate(who) if speaker in who[:n])
    for other in [*range(group + 1, len(groups)), *range(group)]:
        theirs = groups[other]
        before = _repeats(speakers[own]) + _repeats(speakers[theirs])
        for their_place in range(len(theirs)):
            own[place], theirs[their_place] = theirs[their_place], own[place]
            if _repeats(speakers[own]) + _repeats(speakers[theirs]) < before:
                return
            own[place], theirs[their_place] = theirs[their_place], own[place]
    raise AssertionError("no speaker has more utterances than there are groups")


def _repeats(speakers: NDArray[np.int64]) -> int:
    """How many of a group's speakers were there before."""
    return len(speakers) - len(set(speakers.tolist()))
