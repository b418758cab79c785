import numpy as np
import pytest

from autoclip_sep.figures.smoothing import running_median

NAN = float("nan")


def test_at_both_ends_the_median_is_of_what_there_is():
    values = np.array([5.0, 1.0, 9.0, 2.0, 3.0])
    assert running_median(values, 3).tolist() == [3.0, 5.0, 2.0, 3.0, 2.5]


def test_a_single_spike_leaves_no_trace():
    values = np.ones(50)
    values[20] = 1e9
    assert running_median(values, 5).tolist() == [1.0] * 50


def test_values_that_are_not_known_are_left_out():
    values = np.array([1.0, NAN, 3.0, NAN, NAN, NAN, 4.0])
    expected = [1.0, 2.0, 3.0, 3.0, NAN, 4.0, 4.0]
    assert np.array_equal(running_median(values, 3), expected, equal_nan=True)


@pytest.mark.parametrize("window", [1, 7, 101])
def test_it_agrees_with_the_plain_definition(window):
    values = np.random.default_rng(0).standard_normal(40)
    half = window // 2
    expected = [np.median(values[max(0, n - half) : n + half + 1]) for n in range(40)]
    assert running_median(values, window).tolist() == expected
