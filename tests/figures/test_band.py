"""The criterion on curves whose band and leaving can be told by hand."""

import math

import numpy as np
import pytest

from autoclip_sep.figures.comparison import reference_range as band
from autoclip_sep.figures.smoothing import running_median


@pytest.mark.parametrize(("records", "window"), [(4, 3), (36, 3), (72, 3), (96, 5), (336, 15)])
def test_the_window_is_odd_and_a_24th_of_a_run(records, window):
    assert band.window_for(records) == window


def test_a_running_median_takes_fewer_values_at_the_ends():
    found = running_median(np.array([[9.0, 1.0, 5.0, 100.0, 3.0]]), 3)
    assert found.tolist() == [[5.0, 5.0, 5.0, 5.0, 51.5]]


def test_what_is_unknown_is_left_out_of_a_running_median():
    values = np.array([1.0, math.nan, 3.0, math.nan, math.nan, math.nan, math.inf, math.inf])
    found = running_median(values, 3)
    assert found[:4].tolist() == [1.0, 2.0, 3.0, 3.0]
    assert math.isnan(found[4])
    assert found[5:].tolist() == [math.inf] * 3


def test_the_spread_is_the_references_own():
    apart = np.array([[-0.1], [0.0], [0.1]]) + np.linspace(0, 5, 40)
    assert np.allclose(band.spread(apart, 3, usual=0.001), 0.1)
    assert np.allclose(band.half_width(apart, 3, usual=0.001), 7 * math.sqrt(4 / 3) * 0.1)


def test_the_spread_has_a_floor():
    same = np.zeros((3, 40))
    assert np.allclose(band.spread(same, 3, usual=0.3), 0.1)


def test_where_references_agree_for_a_while_their_usual_spread_counts():
    apart = np.array([[-0.1], [0.0], [0.1]]) * np.r_[np.ones(60), np.zeros(40)]
    found = band.spread(apart, 3, usual=0.001)
    assert np.allclose(found, 0.1)


def test_where_references_differ_more_the_band_is_wider():
    apart = np.array([[-0.1], [0.0], [0.1]]) * np.r_[np.ones(60), 3 * np.ones(40)]
    found = band.spread(apart, 3, usual=0.001)
    assert np.allclose(found[:50], 0.1)
    assert np.allclose(found[70:], 0.3)


def test_one_reference_has_the_usual_spread_and_the_widest_prediction():
    alone = np.arange(40.0)[None]
    assert np.allclose(band.half_width(alone, 3, usual=0.3), 5 * math.sqrt(2) * 0.3)


@pytest.mark.parametrize(
    ("sides", "place"),
    [
        ([0, 1, 1, 1, 0], 1),
        ([1, 1, 0, 1, 1], None),
        ([0, 1, 1, -1, -1], None),  # the other side is another stretch
        ([0, 0, -1, -1, -1], 2),
        ([1, 1], None),
        ([0, 0, 0, 0], None),
    ],
)
def test_leaving_takes_three_in_a_row_on_one_side(sides, place):
    assert band.leaves(np.array(sides, dtype=float), 3) == place


def test_outside_is_beyond_the_band_and_nothing_unknown_is():
    away = np.array([0.9, 1.1, -1.1, math.inf, math.nan])
    assert band.outside(away, np.zeros(5), np.ones(5)).tolist() == [0, 1, -1, 1, 0]
