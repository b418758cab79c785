import numpy as np
import pytest

from autoclip_sep.data.voices import segments

RATE = 1000  # Hz; a frame has 20 samples, a gap 200


def tone(seconds, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * 50 * np.arange(round(seconds * RATE)) / RATE)


def test_silence_at_the_ends_is_trimmed_and_inside_kept():
    speech = np.concatenate([tone(0.1), np.zeros(100), tone(0.1)])
    padded = np.concatenate([np.zeros(60), speech, np.zeros(140)])
    np.testing.assert_allclose(segments.trimmed(padded + 0.01, RATE), speech, atol=1e-12)


@pytest.mark.parametrize("silence", [np.zeros(0), np.zeros(500), np.full(500, 0.3), np.ones(5)])
def test_a_recording_without_sound_becomes_empty(silence):
    assert len(segments.trimmed(silence, RATE)) == 0


def test_recordings_are_joined_until_they_are_long_enough():
    found = list(segments.joined([tone(1.9), tone(1.9), tone(5.0, 0.1), tone(3.0)], RATE))
    assert [len(one) for one in found] == [1900 + 200 + 1900, 5000]  # three seconds are left over
    gap = found[0][1900:2100]
    assert not gap.any()
    for utterance in found:
        assert np.abs(utterance).max() == pytest.approx(0.9)


def test_recordings_under_four_tenths_of_a_second_are_dropped():
    (found,) = segments.joined([tone(0.39), tone(2.0), tone(0.39), tone(2.0)], RATE)
    assert len(found) == 2000 + 200 + 2000
