from fractions import Fraction

import numpy as np
import pytest
import torch
from torchaudio.transforms import Speed

from autoclip_sep.data.loading.speed import as_ratio, at_speed, length_at, one_thread

SIGNAL = np.random.default_rng(0).standard_normal((2, 3001)).astype("float32")
SPEEDS = [0.9, 0.95, 0.97, 1.0, 1.05, 1.1, 2.0]


def part(speed, start=0, frames=None, signal=SIGNAL):
    ratio, length = as_ratio(speed), signal.shape[1]
    frames = length_at(ratio, length) - start if frames is None else frames

    def read(first, count):
        assert 0 <= first < first + count <= length
        return signal[:, first : first + count]

    return at_speed(ratio, read, length, start, frames)


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_whole_signal_is_that_of_torchaudio(speed):
    expected, _ = Speed(100, speed)(torch.from_numpy(SIGNAL))
    assert torch.equal(part(speed), expected)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize(("start", "frames"), [(0, 7), (1, 400), (250, 1), (777, 500), (1400, 100)])
def test_a_part_is_that_of_the_whole(speed, start, frames):
    expected = part(speed)[:, start : start + frames]
    assert torch.allclose(part(speed, start, frames), expected, atol=1e-6)


@pytest.mark.parametrize("speed", [0.9, 0.95, 1.05, 1.1])
def test_pitch_and_tempo_follow_the_speed(speed):
    rate = 8000
    tone = np.sin(2 * np.pi * 500 * np.arange(rate) / rate)[None].astype("float32")
    faster = part(speed, signal=tone)
    assert faster.shape[1] == pytest.approx(rate / speed, abs=1)
    times = torch.arange(faster.shape[1]) / rate
    expected = torch.sin(2 * torch.pi * 500 * speed * times)
    assert (faster[0] - expected)[50:-50].abs().max() < 0.02


@pytest.mark.parametrize("wrong", [0.333, 0.0, -1.0, 0.499, 2.01, 1.001])
def test_other_speeds_are_refused(wrong):
    with pytest.raises(ValueError, match="a speed must be from"):
        as_ratio(wrong)


def test_speeds_are_exact():
    assert as_ratio(1.1) == Fraction(11, 10)
    assert as_ratio(0.57) == Fraction(57, 100)
    assert length_at(Fraction(19, 20), 19) == 20
    assert length_at(Fraction(19, 20), 20) == 22  # 21.05: what begins counts


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads):
    before = torch.get_num_threads()
    with one_thread():
        expected = [part(speed) for speed in SPEEDS]
    torch.set_num_threads(threads)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
            assert all(torch.equal(part(s), e) for s, e in zip(SPEEDS, expected, strict=True))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
