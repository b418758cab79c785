import numpy as np
import pytest

from autoclip_sep.audio.resampling import resample, resample_blocks

RATES = [
    (16000, 8000), (8000, 16000), (44100, 8000), (8000, 44100), (44100, 48000), (11025, 8000),
    (8000, 11025), (8000, 8000), (4001, 4000), (96000, 8000),
]  # fmt: skip


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("length", [1, 30, 441, 20_011])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_are_the_whole_to_the_bit(from_rate, to_rate, length, dtype):
    samples = np.random.default_rng(length).standard_normal((3, 2, length)).astype(dtype)
    whole = resample(samples, from_rate, to_rate)
    for size in (100, 997, 8000, 10**6):
        blocks = (samples[..., start : start + size] for start in range(0, length, size))
        found = np.concatenate(list(resample_blocks(blocks, from_rate, to_rate)), axis=-1)
        assert found.dtype == whole.dtype
        assert np.array_equal(found, whole)


def test_what_is_ready_is_given_away():
    """What is held back is what the filter can still reach, and less than one step of the rates."""
    given, taken = 0, 0
    blocks = (np.zeros((1, 500)) for _ in range(100))

    def counted():
        nonlocal taken
        for block in blocks:
            taken += block.shape[-1]
            yield block

    for block in resample_blocks(counted(), 16000, 8000):
        given += block.shape[-1]
        assert 2 * given >= taken - 50
    assert given == 25_000


def test_nothing_comes_of_nothing():
    assert list(resample_blocks([], 16000, 8000)) == []
