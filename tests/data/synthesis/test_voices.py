import re

import numpy as np

from autoclip_sep.data.synthesis.espeak import Utterance, speak
from autoclip_sep.data.synthesis.sentences import LISTS, SHAPES, sentence
from autoclip_sep.data.synthesis.voices import ENGLISH, FOREIGN, invent


def test_a_speaker_follows_from_the_generator():
    one, other, third = (invent("a", "f", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == other
    assert one != third


def test_sixty_voices_are_sixty():
    speakers = [invent("a", "fm"[n % 2], np.random.default_rng(n)) for n in range(60)]
    assert len({speaker.voice for speaker in speakers}) == 60
    assert len({speaker.language for speaker in speakers}) > 15
    for sex, low, high in (("m", 70, 140), ("f", 130, 215)):
        pitches = [speaker.pitch for speaker in speakers if speaker.sex == sex]
        assert len(pitches) == 30
        assert low <= min(pitches) < low * 1.25
        assert high * 0.8 < max(pitches) <= high


def test_every_language_speaks():
    """espeak-ng has them all, and none of them falls silent or spells the words out."""
    rng = np.random.default_rng(0)
    for language in (*ENGLISH, *FOREIGN):
        voice = invent("a", "m", rng).voice
        said = Utterance("Our neighbour painted the yellow boat in the harbour.", 160, 50, 50)
        (signal,), rate = speak(voice, language, [said], seed=0)
        assert np.sqrt(np.mean(signal.astype(float) ** 2)) > 300, language
        assert 1.8 < len(signal) / rate < 6.5, language


def test_the_lists_hold_whole_phrases():
    for phrases in LISTS.values():
        assert len(phrases) == len(set(phrases)) >= 15
        for phrase in phrases:
            assert re.fullmatch(r"[A-Za-z' ]+", phrase)
            assert "  " not in phrase


def test_sentences_vary_and_are_finished():
    rng = np.random.default_rng(0)
    made = [sentence(rng) for _ in range(300)]
    assert len(set(made)) == 300
    assert all(text[0].isupper() and text[-1] in ".?" and "{" not in text for text in made)
    lengths = [len(text.split()) for text in made]
    assert 10 < np.mean(lengths) < 20
    assert len(SHAPES) >= 5
